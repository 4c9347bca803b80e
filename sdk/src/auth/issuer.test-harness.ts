/** A small issuer on a real port: rotates refresh tokens, and ends a login whose refresh token comes twice. */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

type Form = URLSearchParams;
type Reply = [status: number, body: Record<string, unknown>];

export interface TestIssuer {
	readonly url: string;
	/** Every token request, oldest first. */
	readonly requests: Form[];
	/** Refresh tokens that work. */
	readonly live: Set<string>;
	/** Answers to token requests before anything else is looked at, in order. */
	readonly refusals: Reply[];
	/** Answers of the device grant, in order; then tokens. */
	readonly devicePolls: (Reply | "hang up")[];
	/** Seconds that tokens live. */
	lifetimeS: number;
	/** Holds refreshes until it resolves. */
	gate: Promise<unknown>;
	close(): Promise<void>;
}

export async function openTestIssuer(): Promise<TestIssuer> {
	const live = new Set<string>();
	const used = new Set<string>();

	function tokens(): Reply {
		const refreshToken = randomUUID();
		live.add(refreshToken);
		return [200, { access_token: randomUUID(), refresh_token: refreshToken, expires_in: issuer.lifetimeS }];
	}

	async function grant(form: Form): Promise<Reply | "hang up"> {
		issuer.requests.push(form);
		const refusal = issuer.refusals.shift();
		if (refusal !== undefined) return refusal;
		switch (form.get("grant_type")) {
			case "refresh_token": {
				await issuer.gate;
				const shown = form.get("refresh_token") ?? "";
				if (used.has(shown)) live.clear();
				if (!live.delete(shown)) return [400, { error: "invalid_grant" }];
				used.add(shown);
				return tokens();
			}
			case "urn:ietf:params:oauth:grant-type:device_code":
				return issuer.devicePolls.shift() ?? tokens();
			default: {
				const [status, body] = tokens();
				return [status, { access_token: body.access_token, expires_in: body.expires_in }];
			}
		}
	}

	async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
		let text = "";
		for await (const chunk of request) text += String(chunk);
		const form = new URLSearchParams(text);
		const routes: Record<string, () => Reply | "hang up" | Promise<Reply | "hang up">> = {
			"/v1/cloud": () => [200, { issuer: issuer.url, client_id: "cli", scopes: ["compute"] }],
			"/.well-known/openid-configuration": () => [
				200,
				{
					token_endpoint: `${issuer.url}/token`,
					device_authorization_endpoint: `${issuer.url}/device`,
					revocation_endpoint: `${issuer.url}/revoke`,
				},
			],
			"/device": () => [
				200,
				{
					device_code: "dc",
					user_code: "ABCD-EFGH",
					verification_uri: `${issuer.url}/enter`,
					expires_in: 900,
					interval: 2,
				},
			],
			"/token": () => {
				const basic = request.headers.authorization;
				if (basic !== undefined) form.set("basic", Buffer.from(basic.slice(6), "base64").toString());
				if (form.get("basic")?.endsWith(":wrong") === true) return [401, { error: "invalid_client" }];
				return grant(form);
			},
			"/revoke": () => {
				live.delete(form.get("token") ?? "");
				return [200, {}];
			},
		};
		const reply = (await routes[request.url ?? ""]?.()) ?? ([404, {}] satisfies Reply);
		if (reply === "hang up") {
			response.destroy();
			return;
		}
		response
			.writeHead(reply[0], { "content-type": "application/json", ...(reply[0] === 429 && { "retry-after": "3" }) })
			.end(JSON.stringify(reply[1]));
	}

	const server = createServer((request, response) => {
		answer(request, response).catch(() => response.destroy());
	});
	await new Promise<void>((resolve) => {
		server.listen(0, "127.0.0.1", resolve);
	});
	const issuer: TestIssuer = {
		url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
		requests: [],
		live,
		refusals: [],
		devicePolls: [],
		lifetimeS: 3600,
		gate: Promise.resolve(),
		async close() {
			server.closeAllConnections();
			await new Promise((resolve) => {
				server.close(resolve);
			});
		},
	};
	return issuer;
}
