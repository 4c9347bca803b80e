/** The page at `/`: what this is, whether it works, and how to begin. Public facts only: nobody has logged in here. */
import { createHash } from "node:crypto";

const style = `
:root { color-scheme: light dark; --ground: #f3f4f8; --glow: #dfe4ff; --card: #fff; --ink: #171a26; --soft: #5b6175; --line: #d9dce6; --accent: #3f4bd8; --on-accent: #fff; --good: #14713d; --alert: #a3161f; }
@media (prefers-color-scheme: dark) { :root { --ground: #0f111a; --glow: #1c2148; --card: #181b28; --ink: #eceef7; --soft: #a0a7bf; --line: #33384d; --accent: #8f9bff; --on-accent: #0d1030; --good: #6fd69a; --alert: #ff9aa1; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; padding: clamp(1.5rem, 8vh, 5rem) 1rem 2rem; background: radial-gradient(60rem 26rem at 50% -6rem, var(--glow), transparent) no-repeat var(--ground); color: var(--ink); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }
main { max-width: 44rem; margin: 0 auto; }
header { display: flex; align-items: center; gap: .8rem; flex-wrap: wrap; }
.mark { width: 44px; height: 44px; } .mark rect { fill: var(--accent); } .mark path { fill: none; stroke: var(--on-accent); stroke-width: 1.8; stroke-linejoin: round; }
h1 { margin: 0; font-size: 2rem; letter-spacing: -.02em; }
.state { margin-left: auto; color: inherit; text-decoration: none; padding: .2rem .8rem; border: 1px solid var(--line); border-radius: 99px; background: var(--card); font-size: .9rem; }
.state::before { content: "●"; margin-right: .45rem; color: var(--alert); } .ready::before { color: var(--good); }
.lead { margin: 1rem 0 1.6rem; color: var(--soft); font-size: 1.08rem; }
ol { margin: 0; padding: 0; list-style: none; background: var(--card); border: 1px solid var(--line); border-radius: .9rem; overflow: hidden; }
li { padding: 1rem 1.2rem; } li + li { border-top: 1px solid var(--line); }
code { display: block; margin-top: .35rem; white-space: pre-wrap; overflow-wrap: anywhere; font: .92rem/1.6 ui-monospace, "DejaVu Sans Mono", monospace; color: var(--soft); }
.missing { margin: 0 0 1.6rem; padding: .7rem 1.2rem; border-left: 3px solid var(--alert); background: var(--card); }
nav { display: flex; flex-wrap: wrap; gap: .6rem 1.4rem; margin: 1.6rem 0 0; }
nav a { color: var(--accent); } nav .action { padding: .5rem 1.1rem; border-radius: .6rem; background: var(--accent); color: var(--on-accent); text-decoration: none; font-weight: 600; } nav a:not(.action) { padding: .5rem 0; }
footer { margin-top: 2.4rem; color: var(--soft); font-size: .85rem; }
`;

const links = [
	["/v1/openapi.json", "The interface (OpenAPI)"],
	["/.well-known/openid-configuration", "Identity (OpenID discovery)"],
] as const;

const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

/** Allows this page's own style and nothing else. */
export const landingPolicy = `default-src 'none'; style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'`;

export interface LandingFacts {
	/** Of this program. */
	readonly version: string;
	/** As clients know this cloud. */
	readonly publicUrl: string;
	/** The parts that do not answer, each with why; empty when all do. */
	readonly missing: readonly string[];
}

/** The page's HTML. */
export function landingPage({ version, publicUrl, missing }: LandingFacts): string {
	const steps = [
		["Log in", `errand login --cloud ${publicUrl}`],
		["Start an endpoint where functions are to run", "errand endpoint configure NAME\nerrand endpoint start NAME"],
		["Run something there", "errand run -e NAME -- hostname"],
	].map(([what, command]) => `<li>${what}<code>${escaped(command ?? "")}</code></li>`);
	const state =
		missing.length === 0
			? `<a class="state ready" href="/readyz">ready</a>`
			: `<a class="state" href="/readyz">not ready</a>`;
	const why = missing.length === 0 ? "" : `<p class="missing">Not ready: ${escaped(missing.join("; "))}.</p>`;
	return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Errand</title><link rel="icon" type="image/svg+xml" href="/v2/web/errand.svg"><style>${style}</style></head>
<body><main>
<header><svg class="mark" viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="9"/><path d="M8 12.5 16 8l8 4.5v7L16 24l-8-4.5z"/><path d="m8 12.5 8 4.5 8-4.5M16 17v7"/></svg><h1>Errand</h1>${state}</header>
<p class="lead">Functions on supercomputers. This cloud takes the functions that you submit, passes them to endpoints on the machines where they run, and brings the results back.</p>
${why}<ol>${steps.join("")}</ol>
<nav><a class="action" href="/device">Enter a login code</a>${links.map(([href, text]) => `<a href="${href}">${text}</a>`).join("")}</nav>
<footer>Version ${escaped(version)}. Accounts are made by whoever runs this cloud.</footer>
</main></body>
</html>
`;
}
