/** A browser: the token is given by the page, there are no files, and a WebSocket cannot set headers. */
import { CaptureError } from "../errors.ts";
import type { Platform } from "./platform.ts";

function noFiles(what: string): CaptureError {
	return new CaptureError(`${what} needs the file system, which a browser does not have: give the source text instead`);
}

function noLogins(): TypeError {
	return new TypeError("a browser stores no logins: requestDeviceLogin gives tokens, or the page signs in by itself");
}

export const platform: Platform = {
	runtime: () => ({}),
	defaultCloudUrl: () => globalThis.location.origin,

	storedTokens() {
		throw new TypeError("in a browser a token must be given: new Executor({ token, … })");
	},

	deviceLogin: async () => Promise.reject(noLogins()),
	logout: async () => Promise.reject(noLogins()),

	openSocket(url, accessToken, listener) {
		const socket = new WebSocket(url, ["errand.v1", `bearer.${accessToken}`]);
		socket.onopen = () => listener.onOpen();
		socket.onmessage = (event) => {
			if (typeof event.data === "string") listener.onText(event.data);
		};
		socket.onclose = (event) => listener.onClose(event.code, event.reason);
		return {
			send: (text) => {
				if (socket.readyState === WebSocket.OPEN) socket.send(text);
			},
			close: () => socket.close(),
			holdProcess: () => {},
		};
	},

	bundle: async ({ file }) => Promise.reject(noFiles(`bundling ${file}`)),
	readSource: async (file) => Promise.reject(noFiles(`reading ${file}`)),

	stripTypes() {
		throw new CaptureError("a browser cannot strip TypeScript's types from a function: compile it first");
	},
};
