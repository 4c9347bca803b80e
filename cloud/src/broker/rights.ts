/** Who may touch what in the broker: one table for every kind of broker. */
import {
	type AccountId,
	bindingKey,
	cloudQueues,
	commandQueue,
	type EndpointId,
	exchanges,
	exchangeTypes,
	groupQueuePrefix,
	routingKey,
	taskQueue,
} from "@errand/proto";

/** Regular expressions over names of exchanges and queues, as RabbitMQ has them: unanchored unless they anchor themselves. */
export interface Rights {
	readonly configure: string;
	readonly write: string;
	readonly read: string;
	/** By topic exchange: which routing keys may be published (write) or bound (read). An exchange that is not named is free. */
	readonly topics: Readonly<Record<string, { readonly write: string; readonly read: string }>>;
}

const escapePattern = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
const nothing = "^$";
const everything = ".*";
const exactly = (...names: string[]): string => `^(${names.map(escapePattern).join("|")})$`;

export const endpointUser = (id: EndpointId): string => `ep-${id}`;
export const readerUser = (id: AccountId): string => `acct-${id}`;

/** Consumes its own two queues, publishes under its own routing keys, declares nothing. */
export const endpointRights = (id: EndpointId): Rights => ({
	configure: nothing,
	write: exactly(...cloudQueues),
	read: exactly(taskQueue(id), commandQueue(id)),
	topics: Object.fromEntries(
		cloudQueues.map((queue) => [exchanges[queue], { write: exactly(routingKey(id, queue)), read: nothing }]),
	),
});

/** Consumes the queues of its own task groups. */
export const readerRights = (id: AccountId): Rights => ({
	configure: nothing,
	write: nothing,
	read: `^${escapePattern(groupQueuePrefix(id))}`,
	topics: {},
});

export const serviceRights: Rights = { configure: everything, write: everything, read: everything, topics: {} };

/** What `setUp` makes: the exchanges, the cloud's queues, and their bindings. */
export const setUpPlan = {
	exchanges: Object.values(exchanges).map((name) => ({ name, type: exchangeTypes[name] })),
	queues: cloudQueues.map((name) => ({ name, exchange: exchanges[name], key: bindingKey(name) })),
} as const;

/** The queues of one endpoint; each is bound to its exchange under its own name. */
export const endpointQueues = (id: EndpointId): readonly { name: string; exchange: string }[] => [
	{ name: taskQueue(id), exchange: exchanges.tasks },
	{ name: commandQueue(id), exchange: exchanges.commands },
];

/** A group's queue that nobody uses for this long is gone, as in the public interface. */
export const groupQueueExpiresMs = 14 * 24 * 3600 * 1000;

/** An AMQP URL; the virtual host `/` is written out, because clients disagree about an empty one. */
export function connectionUrl(
	secure: boolean,
	user: string,
	password: string,
	host: string,
	port: number,
	virtualHost = "/",
): string {
	const bracketed = host.includes(":") ? `[${host}]` : host;
	const login = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
	return `${secure ? "amqps" : "amqp"}://${login}@${bracketed}:${port}/${encodeURIComponent(virtualHost)}`;
}

/** The same at the place (scheme, host, port) of another AMQP URL. */
export function urlAt(place: string | URL, user: string, password: string, virtualHost?: string): string {
	const { protocol, hostname, port } = new URL(place);
	const secure = protocol === "amqps:";
	const bare = hostname.replace(/^\[|\]$/g, "");
	return connectionUrl(secure, user, password, bare, Number(port) || (secure ? 5671 : 5672), virtualHost);
}
