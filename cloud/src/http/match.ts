import type { Route } from "./route.ts";

/** A route that a request's line fits, and what stands at its parameters. */
export interface Match {
	readonly route: Route;
	readonly params: Readonly<Record<string, string>>;
}

const parameter = /\{(\w+)\}/g;

/** `/v2/tasks/{task_id}` as Express writes it: `/v2/tasks/:task_id`. */
export const expressPath = (path: string): string => path.replace(parameter, ":$1");

/**
 * Finds the hot routes by one look at the path. Parameters of hot routes are ids, so anything but id characters there
 * is left to Express and its decoding.
 */
export function hotMatcher(routes: readonly Route[]): (method: string, url: string) => Match | undefined {
	const rows = routes
		.filter((row) => row.hot === true)
		.map((row) => ({
			row,
			names: [...row.path.matchAll(parameter)].map((found) => found[1] as string),
			pattern: new RegExp(`^${row.path.replace(/[.]/g, "\\.").replace(parameter, "([0-9a-fA-F-]+)")}(?:\\?|$)`),
		}));
	return (method, url) => {
		for (const { row, names, pattern } of rows) {
			if (row.method !== method) continue;
			const found = pattern.exec(url);
			if (found === null) continue;
			return { route: row, params: Object.fromEntries(names.map((name, i) => [name, found[i + 1] as string])) };
		}
		return undefined;
	};
}
