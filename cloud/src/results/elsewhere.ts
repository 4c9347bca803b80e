/** Cloud processes on one database tell each other whose results are new: by the groups' ids, the rest is read by cursor. */
import { randomUUID } from "node:crypto";
import type { TaskGroupId } from "@errand/proto";
import type { CloudEventBus } from "../observe/events.ts";
import type { Log } from "../store/embedded-postgres.ts";
import type { Database } from "../store/pool.ts";

export interface Elsewhere {
	/** Call after the commit. Costs nothing while this process is the only one. */
	tellOthers(groups: readonly TaskGroupId[]): Promise<void>;
	close(): Promise<void>;
}

const channel = "errand_results";
/** A notification holds 8,000 bytes: a sender, and ids of 36 characters with a comma. */
const groupsPerMessage = 200;
/** After hearing from another process it is spoken to for this long, whether it is counted or not. */
const companyMs = 30_000;

export async function openElsewhere(ports: {
	database: Database;
	events: CloudEventBus;
	log: Log;
	/** Living cloud processes, this one included. */
	processes: () => number;
}): Promise<Elsewhere> {
	const { database, events, log } = ports;
	const self = randomUUID();
	let heardAt = new Date();
	/** Somebody who has just started may not be counted yet. */
	let companyUntilMs = 0;

	const listener = await database.listen(
		channel,
		(payload) => {
			const [sender, ...groups] = payload.split(",");
			if (sender === self) return;
			companyUntilMs = Date.now() + companyMs;
			heardAt = new Date();
			for (const group of groups as TaskGroupId[]) events.emit("results:elsewhere", { group });
		},
		() => {
			const since = heardAt;
			heardAt = new Date();
			groupsFinishedSince(database, since)
				.then((groups) => {
					for (const group of groups) events.emit("results:elsewhere", { group });
				})
				.catch((cause: unknown) =>
					log.warn({ reason: String(cause) }, "could not see what was missed while not listening"),
				);
		},
	);
	await database.query("select pg_notify($1, $2)", [channel, self]);
	return {
		async tellOthers(groups) {
			if (ports.processes() < 2 && Date.now() > companyUntilMs) return;
			for (let at = 0; at < groups.length; at += groupsPerMessage) {
				const payload = [self, ...groups.slice(at, at + groupsPerMessage)].join(",");
				await database.query("select pg_notify($1, $2)", [channel, payload]);
			}
		},
		async close() {
			await listener[Symbol.asyncDispose]();
		},
	};
}

/** With a minute of slack for clocks that differ. */
async function groupsFinishedSince(database: Database, since: Date): Promise<TaskGroupId[]> {
	const { rows } = await database.query<{ group_id: TaskGroupId }>(
		"select distinct group_id from tasks where finished_at > $1::timestamptz - interval '1 minute'",
		[since],
	);
	return rows.map((row) => row.group_id);
}
