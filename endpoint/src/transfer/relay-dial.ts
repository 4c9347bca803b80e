/** A connection to the other end of a transfer by way of the cloud, which this end dials. */
import { Agent as HttpAgent, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import { type RelaySide, relayProtocol } from "@errand/proto";

const dialTimeoutMs = 20_000;

export interface RelayDial {
	/** Without a slash at the end. */
	readonly cloudUrl: string;
	readonly transferId: string;
	readonly side: RelaySide;
	readonly token: string;
	readonly signal: AbortSignal;
}

/** Resolves when the cloud has let this end in; the other may come later. A proxy of the environment is gone through. */
export function dialRelay({ cloudUrl, transferId, side, token, signal }: RelayDial): Promise<Socket> {
	const url = new URL(`${cloudUrl}/v1/transfers/${transferId}/relay/${side}`);
	const secure = url.protocol === "https:";
	const options = { keepAlive: false, proxyEnv: process.env };
	const agent = secure ? new HttpsAgent(options) : new HttpAgent(options);
	return new Promise((resolve, reject) => {
		const request = (secure ? httpsRequest : httpRequest)(url, {
			agent,
			signal,
			timeout: dialTimeoutMs,
			headers: { connection: "Upgrade", upgrade: relayProtocol, authorization: `Bearer ${token}` },
		});
		request.once("upgrade", (_response, socket, head) => {
			if (head.length > 0) socket.unshift(head);
			socket.setTimeout(0);
			socket.setNoDelay(true);
			resolve(socket as Socket);
		});
		request.once("response", (response) => {
			response.resume();
			reject(new Error(`the relay answered ${response.statusCode}`));
		});
		request.once("timeout", () => request.destroy(new Error("the relay does not answer")));
		request.once("error", reject);
		request.end();
	});
}
