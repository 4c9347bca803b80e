/** The pages of logging in: plain forms, no scripts, one style sheet. */
import { type Html, html } from "./html.ts";

export const stylePath = "/v2/web/identity.css";
export const iconPath = "/v2/web/errand.svg";

/** The mark as a file of its own: what browsers show beside the title. */
export const icon =
	'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="9" fill="#3f4bd8"/>' +
	'<path d="M8 12.5 16 8l8 4.5v7L16 24l-8-4.5zm0 0 8 4.5 8-4.5M16 17v7" fill="none" stroke="#fff" stroke-width="1.8" ' +
	'stroke-linejoin="round" stroke-linecap="round"/></svg>';

/** The mark: a parcel on its way. */
const mark = html`<svg class="mark" viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="9"/><path d="M8 12.5 16 8l8 4.5v7L16 24l-8-4.5z"/><path d="m8 12.5 8 4.5 8-4.5M16 17v7"/></svg>`;

function layout(title: string, body: Html): string {
	return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="same-origin">
<title>${title} · Errand</title>
<link rel="icon" type="image/svg+xml" href="${iconPath}">
<link rel="stylesheet" href="${stylePath}">
</head>
<body>
<main>
<header>${mark}<span>Errand</span></header>
<section class="card">
${body}
</section>
<footer>Functions for supercomputers, from wherever you are.</footer>
</main>
</body>
</html>
`.text;
}

const alert = (text: string | undefined): Html =>
	text === undefined ? html`` : html`<p class="alert" role="alert">${text}</p>`;
const list = (items: readonly string[]): Html =>
	html`<ul class="purposes">${items.map((item) => html`<li>${item}</li>`)}</ul>`;
const hidden = (fields: Readonly<Record<string, string>>): Html[] =>
	Object.entries(fields).map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">`);

export interface LoginPage {
	action: string;
	clientName: string;
	username?: string;
	/** Why the last try did not work. */
	problem?: string;
}

export function loginPage({ action, clientName, username, problem }: LoginPage): string {
	return layout(
		"Log in",
		html`<h1>Log in</h1>
<p class="lead">to continue with <strong>${clientName}</strong></p>
${alert(problem)}
<form method="post" action="${action}">
<label for="username">Username</label>
<input id="username" name="username" type="text" value="${username}" autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="128" required${username === undefined ? html` autofocus` : html``}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" maxlength="1024" required${username === undefined ? html`` : html` autofocus`}>
<button type="submit">Log in</button>
</form>
<form method="post" action="${action}/abort" class="quiet"><button type="submit" class="plain">Cancel</button></form>`,
	);
}

export interface ConsentPage {
	action: string;
	clientName: string;
	username: string;
	purposes: readonly string[];
	/** The host that the answer goes to. */
	destination: string;
}

export function consentPage({ action, clientName, username, purposes, destination }: ConsentPage): string {
	return layout(
		"Allow access",
		html`<h1>Allow access?</h1>
<p class="lead"><strong>${clientName}</strong> asks to:</p>
${list(purposes)}
<dl><dt>Account</dt><dd>${username}</dd><dt>Answer goes to</dt><dd>${destination}</dd></dl>
<form method="post" action="${action}"><button type="submit">Allow</button></form>
<form method="post" action="${action}/abort" class="quiet"><button type="submit" class="plain">Deny</button></form>`,
	);
}

/** Words for what the provider reports about an entered code. */
const codeProblems: Readonly<Record<string, string>> = {
	NoCodeError: "Type the code that your terminal shows.",
	NotFoundError: "No login waits for this code. Check it and type it again.",
	ExpiredError: "This code has ended. Start the login again on your device.",
	AlreadyUsedError: "This code was used already. Start the login again on your device.",
	AbortedError: "You denied this login. The device has been told.",
	SessionNotFound: "This page is too old. Type the code again.",
};

export function deviceCodePage(action: string, xsrf: string, problem: string | undefined): string {
	const text = problem === undefined ? undefined : (codeProblems[problem] ?? "That did not work. Type the code again.");
	return layout(
		"Connect a device",
		html`<h1>Connect a device</h1>
<p class="lead">Type the code that your terminal shows.</p>
${alert(text)}
<form method="post" action="${action}">
${hidden({ xsrf })}
<label for="user_code">Code</label>
<input id="user_code" class="code" name="user_code" type="text" placeholder="XXXX-XXXX" autocomplete="off" autocapitalize="characters" spellcheck="false" maxlength="16" required autofocus>
<button type="submit">Continue</button>
</form>`,
	);
}

export interface ConfirmDevicePage {
	action: string;
	xsrf: string;
	clientName: string;
	userCode: string;
	/** Where the device asked from, and with which program. */
	address: string;
	program: string;
	purposes: readonly string[];
}

export function confirmDevicePage(page: ConfirmDevicePage): string {
	const { action, xsrf, clientName, userCode, address, program, purposes } = page;
	return layout(
		"Is this you?",
		html`<h1>Is this you?</h1>
<p class="lead"><strong>${clientName}</strong> asks to log in as you. Your terminal must show this code:</p>
<p class="code" aria-label="code ${userCode.split("").join(" ")}">${userCode}</p>
<dl><dt>Asked from</dt><dd>${address}</dd>${program === "" ? html`` : html`<dt>Program</dt><dd>${program}</dd>`}</dl>
<p class="label">It will be able to</p>
${list(purposes)}
<form method="post" action="${action}">
${hidden({ xsrf, user_code: userCode, confirm: "yes" })}
<button type="submit">Yes, continue</button>
</form>
<form method="post" action="${action}" class="quiet">
${hidden({ xsrf, user_code: userCode, abort: "yes" })}
<button type="submit" class="plain">No, this is not me</button>
</form>
<p class="hint">Somebody sent you this code? Then say no: it would give them your account.</p>`,
	);
}

export function deviceDonePage(clientName: string | undefined): string {
	return layout(
		"Logged in",
		html`<div class="tick" aria-hidden="true"><svg viewBox="0 0 24 24"><path d="m5 12.5 4.5 4.5L19 7.5"/></svg></div>
<h1>You are logged in</h1>
<p class="lead">${clientName ?? "Your device"} has what it needs. You can close this page and go back to your terminal.</p>`,
	);
}

export function authCodePage(code: string): string {
	return layout(
		"Your code",
		html`<h1>Your code</h1>
<p class="lead">Copy it and paste it where you started the login. It works once, for ten minutes.</p>
<label for="code">Authorization code</label>
<textarea id="code" class="copy" rows="2" readonly autofocus spellcheck="false">${code}</textarea>`,
	);
}

export function logOutPage(action: string, xsrf: string): string {
	return layout(
		"Log out",
		html`<h1>Log out of this browser?</h1>
<p class="lead">Devices and programs that you connected stay logged in.</p>
<form method="post" action="${action}">
${hidden({ xsrf, logout: "yes" })}
<button type="submit">Log out</button>
</form>
<form method="post" action="${action}" class="quiet">${hidden({ xsrf })}<button type="submit" class="plain">Stay logged in</button></form>`,
	);
}

export function loggedOutPage(): string {
	return layout("Logged out", html`<h1>You are logged out</h1><p class="lead">You can close this page.</p>`);
}

/** Words for the provider's error codes; others are shown as they are. */
const errorWords: Readonly<Record<string, string>> = {
	access_denied: "Access was denied, and the program has been told.",
	invalid_request: "The program sent a request that is not valid.",
	invalid_client: "This cloud does not know the program that sent you here.",
	invalid_redirect_uri: "The program wants the answer at an address that is not registered for it.",
	server_error: "Something failed here. Try again in a moment.",
};

export function errorPage(code: string, detail?: string): string {
	return layout(
		"This did not work",
		html`<h1>This did not work</h1>
<p class="lead">${errorWords[code] ?? "The login could not go on. Start it again where you began."}</p>
<dl><dt>Code</dt><dd>${code}</dd>${detail === undefined ? html`` : html`<dt>Detail</dt><dd>${detail}</dd>`}</dl>`,
	);
}
