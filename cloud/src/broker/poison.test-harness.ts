/**
 * Properties that no good client sends, with an endpoint's own credentials and under its own key: whatever the broker
 * makes of them, the cloud's consumer goes on with what follows.
 */
import { type EndpointId, routingKey } from "@errand/proto";
import { openConnection } from "./connection.ts";
import type { Log } from "./logging.ts";
import { headersOnly, nestedTable, publication, RawClient } from "./raw-client.test-harness.ts";

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };

/** A table of one field: an empty name, this type, these bytes. */
const field = (type: string, ...value: number[]): Buffer =>
	headersOnly(Buffer.concat([Buffer.from([0]), Buffer.from(type, "latin1"), Buffer.from(value)]));

const lateMs = 5_000;

const cases: Readonly<Record<string, Buffer>> = {
	"a header of a type that does not exist": field("Z", 1, 2, 3, 4),
	"a header that is cut short": field("I", 1),
	"a text that is longer than its table": field("S", 0, 0, 0xff, 0xff, 1),
	"an array that is longer than its table": field("A", 0, 0, 0xff, 0xff, 1),
	"a table that is longer than its table": field("F", 0, 0, 0xff, 0xff, 1),
	"a thousand tables in each other": headersOnly(nestedTable(1_000)),
	"twenty thousand tables in each other": headersOnly(nestedTable(20_000)),
	"a header that is named as a prototype": headersOnly(
		Buffer.from("\u0009__proto__F\u0000\u0000\u0000\u0000", "latin1"),
	),
	"properties that are cut short": Buffer.from([0xff, 0xfc]),
	"flags of properties that there are not": Buffer.from([0x00, 0x02]),
	"a second word of flags that announces a third": Buffer.from([0x00, 0x01, 0x00, 0x01, 0x00, 0x00]),
};

/** What became of the good message that came after each bad one. */
export async function afterPoison(
	serviceUrl: string,
	{ id, url }: { id: EndpointId; url: string },
): Promise<{ outcome: Record<string, string>; expected: Record<string, string> }> {
	const to = { exchange: "results", routingKey: routingKey(id, "results") };
	let got: (text: string) => void = () => undefined;
	const cloud = openConnection({ url: serviceUrl, log: silent, name: "cloud" });
	await cloud.consume("results", {
		prefetch: 10,
		onMessage: (delivery) => {
			if (delivery.routingKey === to.routingKey) got(delivery.body.toString());
			delivery.ack();
		},
	});
	const outcome: Record<string, string> = {};
	for (const [what, properties] of Object.entries(cases)) {
		const arrived = new Promise<string>((resolve) => {
			got = (text) => text === what && resolve("arrived");
		});
		const good = publication(1, to, Buffer.from([0, 0]), Buffer.from(what));
		// Whether the bad one is refused or passed on is the broker's business; the good one comes after it.
		const client = await RawClient.open(url);
		client.write(Buffer.concat([publication(1, to, properties, Buffer.from("bad")), good]));
		await Promise.race([arrived, client.refusal()]);
		const another = await RawClient.open(url);
		if (client.closes.length > 0) another.write(good);
		const late = new Promise<string>((resolve) => setTimeout(resolve, lateMs, "did not arrive").unref());
		outcome[what] = await Promise.race([arrived, late]);
		client.destroy();
		another.destroy();
	}
	await cloud.close();
	return { outcome, expected: Object.fromEntries(Object.keys(cases).map((what) => [what, "arrived"])) };
}
