/** How a caller proved who it is: what authentication policies are about. */
export interface Login {
	/**
	 * Of the username and the email, in lower case, as far as this cloud's administrators or the outside issuer vouch for
	 * them. A service client's is {@link clientsDomain}.
	 */
	readonly domains: readonly string[];
	/** A program with a secret, where nobody logs in. */
	readonly service: boolean;
	/** When a person last showed a password or the like, Unix milliseconds; undefined: that is not known. */
	readonly atMs: number | undefined;
}

/** Without a dot, so that no person's username or email has it. */
export const clientsDomain = "clients";

/** Of `name@domain`; text without a domain of at least two parts has none. */
export function domainsOf(...names: readonly string[]): string[] {
	const domains = names.flatMap((name) => {
		const at = name.lastIndexOf("@");
		const domain = at < 1 ? "" : name.slice(at + 1).toLowerCase();
		return /^[^.@\s]+(\.[^.@\s]+)+$/.test(domain) ? [domain] : [];
	});
	return [...new Set(domains)];
}
