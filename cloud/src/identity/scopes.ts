/** What a caller may ask for, which service each scope belongs to, and what to call it in front of a person. */
import { computeScope, resourceServers } from "@errand/proto/rest";

export type ResourceServer = (typeof resourceServers)[keyof typeof resourceServers];

interface Scope {
	readonly name: string;
	readonly resourceServer: ResourceServer;
	/** Completes "… asks to". */
	readonly purpose: string;
}

export const manageProjectsScope = "urn:globus:auth:scope:auth.globus.org:manage_projects";

export const scopes: readonly Scope[] = [
	{
		name: computeScope,
		resourceServer: resourceServers.compute,
		purpose: "Register functions and endpoints, run tasks on them and read their results, as you",
	},
	{ name: "openid", resourceServer: resourceServers.auth, purpose: "Know who you are" },
	{ name: "profile", resourceServer: resourceServers.auth, purpose: "See your name and username" },
	{ name: "email", resourceServer: resourceServers.auth, purpose: "See your email address" },
	{
		name: manageProjectsScope,
		resourceServer: resourceServers.auth,
		purpose: "Use the account interface that endpoint daemons expect",
	},
	{ name: "offline_access", resourceServer: resourceServers.auth, purpose: "Stay logged in until you log out" },
];

const byName = new Map(scopes.map((scope) => [scope.name, scope]));

export function purposeOf(scope: string): string | undefined {
	return byName.get(scope)?.purpose;
}

/**
 * Scopes by the service they belong to, compute first; a service without one is left out. Repeated scopes come once,
 * unknown ones not at all. `offline_access` goes with whatever else there is: every login may be refreshed.
 */
export function byResourceServer(requested: Iterable<string>): { resourceServer: ResourceServer; scope: string }[] {
	const wanted = new Set(requested);
	return Object.values(resourceServers).flatMap((resourceServer) => {
		const names = scopes.filter((scope) => scope.resourceServer === resourceServer && wanted.has(scope.name));
		if (names.every((scope) => scope.name === "offline_access")) return [];
		return [{ resourceServer, scope: names.map((scope) => scope.name).join(" ") }];
	});
}
