/** Whom an endpoint is shared with, as people type it: a username, or `group:NAME`. */
import type { EndpointShare } from "@errand/proto/rest";

const groupPrefix = "group:";

export function parsePartner(text: string): { account: string } | { group: string } {
	return text.startsWith(groupPrefix) ? { group: text.slice(groupPrefix.length) } : { account: text };
}

export function formatPartner({ account, group }: Pick<EndpointShare, "account" | "group">): string {
	return account === null ? `${groupPrefix}${group?.name ?? ""}` : account.username;
}

/** Whether what was typed names the share's account or group, by name or id. */
export function isPartner(share: Pick<EndpointShare, "account" | "group">, text: string): boolean {
	const wanted = parsePartner(text);
	const [typed, names] =
		"group" in wanted
			? [wanted.group, [share.group?.name, share.group?.id]]
			: [wanted.account, [share.account?.username, share.account?.id]];
	return names.some((name) => name?.toLowerCase() === typed.toLowerCase());
}
