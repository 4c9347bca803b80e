import * as z from "zod";
import { openRoute, type Route, route } from "../../route.ts";

/** The version of the public interface that is spoken, and the oldest clients and endpoints that speak it too. */
const publicInterface = { api: "1.55.0", min_sdk_version: "3.0.0", min_ep_version: "3.0.0" } as const;

const versions = z.object({
	api: z.string(),
	min_sdk_version: z.string(),
	min_ep_version: z.string(),
	errand: z.string(),
});
const versionQuery = z.object({ service: z.string().max(64).optional() });

export const version = (errandVersion: string): Route[] => [
	...(["HEAD", "GET"] as const).map((method) =>
		openRoute({
			method,
			path: "/v2/version",
			summary: "The interface's version; with `service=all` also the oldest clients that are served",
			query: versionQuery,
			reply: z.union([z.string(), versions]),
			handle: async ({ query }) =>
				query.service === "all" ? { ...publicInterface, errand: errandVersion } : publicInterface.api,
		}),
	),
	route({
		method: "GET",
		path: "/v2/authenticate",
		summary: "Whether the token is good",
		reply: z.string(),
		handle: async (caller) => caller.username,
	}),
];
