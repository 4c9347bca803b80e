import { auditEntry } from "@errand/proto/rest";
import * as z from "zod";
import { instant, instantToDate, whole } from "../input.ts";
import { administrator } from "../operator.ts";
import { allPages } from "../selector.ts";
import { verb } from "../verb.ts";

export const cloudAudit = verb({
	name: "cloud audit",
	summary: "Who did what, newest first (the cloud's operator, or an administrator)",
	options: [
		{ flags: "--actor <user>", summary: "only by this account: username or id" },
		{ flags: "--action <action>", summary: "only this: endpoint.share, or endpoint for all of those" },
		{ flags: "--thing <id>", summary: "only to this endpoint, function, group or account" },
		{ flags: "--since <time>", summary: "done after: 2026-01-31, or 2h for two hours ago" },
		{ flags: "--until <time>", summary: "done before" },
		{ flags: "-n, --limit <count>", summary: "at most this many (default: all)" },
	],
	examples: [
		["errand cloud audit --since 7d --action endpoint", "what was done to endpoints this week"],
		["errand cloud audit --json > audit.jsonl", "all of it, one JSON object a line, to keep elsewhere"],
	],
	input: z.object({
		actor: z.string().optional(),
		action: z.string().optional(),
		thing: z.string().optional(),
		since: instant.optional(),
		until: instant.optional(),
		limit: whole(1, 1_000_000_000).default(Number.POSITIVE_INFINITY),
	}),
	output: auditEntry,
	json: "lines",
	show: (entry, screen) => {
		const as = entry.acting_as === "account" ? "" : ` (${entry.acting_as})`;
		const details = Object.entries(entry.details).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
		screen.line(
			[entry.at.slice(0, 19).replace("T", " "), `${entry.actor}${as}`, entry.action, entry.thing, ...details].join(
				"  ",
			),
		);
	},
	ids: (entry) => [String(entry.id)],
	async *run(context, { limit, since, until, ...filter }) {
		const client = await administrator(context);
		const nowMs = context.now();
		const given = Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined));
		const asked = {
			...given,
			...(since && { since: instantToDate(since, nowMs) }),
			...(until && { until: instantToDate(until, nowMs) }),
		};
		yield* allPages((cursor) => client.readAudit({ ...asked, limit: Math.min(limit, 1000), ...cursor }), limit);
	},
});
