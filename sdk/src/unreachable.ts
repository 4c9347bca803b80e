/** Why an address cannot be reached, in words. Works in Node and in browsers, which do not say. */

/** What TLS says of a certificate that this machine does not trust. */
const untrusted = new Set([
	"UNABLE_TO_VERIFY_LEAF_SIGNATURE",
	"UNABLE_TO_GET_ISSUER_CERT",
	"UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
	"SELF_SIGNED_CERT_IN_CHAIN",
	"DEPTH_ZERO_SELF_SIGNED_CERT",
]);

/** `error`: what `fetch` rejected with. `timeoutMs`: how long it was given. */
export function whyUnreachable(error: unknown, timeoutMs: number): string {
	if (!(error instanceof Error)) return String(error);
	if (error.name === "TimeoutError") return `no reply within ${timeoutMs / 1000} s`;
	const inner = error.cause;
	if (!(inner instanceof Error)) return error.message;
	const { code } = inner as { code?: string };
	if (code !== undefined && untrusted.has(code))
		return `this machine does not trust its certificate (${code}); name the file of its authority in NODE_EXTRA_CA_CERTS`;
	return code ?? inner.message;
}
