/** What a browser may do with a page of ours. */
import type { Response } from "express";

/** `formTargets`: origins besides our own that a form's answer may lead to. */
export function pagePolicy(response: Response, formTargets: readonly string[]): void {
	response.set({
		"Content-Security-Policy": [
			"default-src 'none'",
			"style-src 'self'",
			// The provider adds the hashes of its own one-line scripts.
			"script-src 'self'",
			"img-src 'self'",
			["form-action 'self'", ...formTargets].join(" "),
			"frame-ancestors 'none'",
			"base-uri 'none'",
		].join("; "),
		"X-Frame-Options": "DENY",
		"X-Content-Type-Options": "nosniff",
		"Referrer-Policy": "same-origin",
		"Cache-Control": "no-store",
		"Content-Type": "text/html; charset=utf-8",
	});
}
