/** The page at `/`: where things are. */
import { createHash } from "node:crypto";

const style = `
:root { color-scheme: light dark; --ink: #16202b; --soft: #5b6b7c; --paper: #fbfaf7; --card: #fff; --line: #e4e0d8; --accent: #0b6e5f; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf2; --soft: #9aa9b8; --paper: #10161c; --card: #18212a; --line: #2a3642; --accent: #58c7b3; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 2rem 1rem; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { width: 100%; max-width: 44rem; }
h1 { margin: 0; font-size: 2.4rem; letter-spacing: -.02em; }
h1 small { font-size: .9rem; font-weight: 400; color: var(--soft); letter-spacing: 0; }
p { margin: .4rem 0 1.6rem; color: var(--soft); }
ul { list-style: none; padding: 0; margin: 0; display: grid; gap: .8rem; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); }
a { display: block; height: 100%; padding: 1rem 1.2rem; background: var(--card); border: 1px solid var(--line); border-radius: .7rem; color: inherit; text-decoration: none; }
a:hover, a:focus-visible { border-color: var(--accent); outline: none; }
b { display: block; color: var(--accent); }
span { color: var(--soft); font-size: .92rem; }
pre { margin: 1.6rem 0 0; padding: 1rem 1.2rem; border-radius: .7rem; border: 1px solid var(--line); background: var(--card); overflow-x: auto; font: .9rem/1.5 ui-monospace, monospace; }
`;

const places = [
	["/device", "Approve a device", "Type the code that your terminal shows, and let it compute as you."],
	["/v1/openapi.json", "Interface", "Every route, its schemas and its faults, as an OpenAPI 3.1 document."],
	["/.well-known/openid-configuration", "Identity", "Discovery document of the OpenID provider."],
	["/readyz", "Readiness", "Whether the database, the broker and the blob store answer."],
] as const;

const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

/** Allows this page's own style and nothing else. */
export const landingPolicy = `default-src 'none'; style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'; frame-ancestors 'none'; base-uri 'none'`;

/** The page's HTML. */
export function landingPage(version: string, publicUrl: string): string {
	const cards = places.map(
		([href, title, text]) => `<li><a href="${href}"><b>${title}</b><span>${text}</span></a></li>`,
	);
	return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Errand</title><style>${style}</style></head>
<body><main>
<h1>Errand <small>${escaped(version)}</small></h1>
<p>Functions as a service for supercomputers. This cloud takes tasks, routes them to endpoints and streams the results back.</p>
<ul>${cards.join("")}</ul>
<pre>errand login --cloud ${escaped(publicUrl)}
errand endpoint list</pre>
</main></body>
</html>
`;
}
