import type { ServerResponse } from "node:http";

/** Sends a whole body, unless the reply has begun: then the connection is all that can still be ended. */
export function sendText(response: ServerResponse, status: number, contentType: string, text: string): void {
	if (response.headersSent) {
		response.destroy();
		return;
	}
	response.statusCode = status;
	response.setHeader("Content-Type", contentType);
	response.setHeader("Content-Length", Buffer.byteLength(text));
	response.end(text);
}

/** {@link sendText} of JSON. */
export function sendJson(response: ServerResponse, status: number, value: unknown): void {
	sendText(response, status, "application/json", JSON.stringify(value));
}
