/** Hands an Express request to the OpenID provider as if it had come to the issuer's own address. */
import { IncomingMessage } from "node:http";
import type { Request, Response } from "express";
import type Provider from "oidc-provider";

/**
 * Links in the provider's replies are made from the request's host: take the issuer's, never what the request says.
 * The client's address is what Express found (its `trust proxy` setting decides whom to believe).
 */
function asIssuer(headers: IncomingMessage["headers"], issuer: URL, address: string | undefined): void {
	headers.host = issuer.host;
	headers["x-forwarded-proto"] = issuer.protocol.slice(0, -1);
	delete headers["x-forwarded-host"];
	if (address === undefined) delete headers["x-forwarded-for"];
	else headers["x-forwarded-for"] = address;
}

export async function handOver(provider: Provider, issuer: URL, request: Request, response: Response): Promise<void> {
	asIssuer(request.headers, issuer, request.ip);
	await provider.callback()(request, response);
}

/** As `handOver`, with another body than the one that was read. */
export async function handOverForm(
	provider: Provider,
	issuer: URL,
	request: Request,
	response: Response,
	form: URLSearchParams,
): Promise<void> {
	const body = Buffer.from(form.toString());
	const rewritten = new IncomingMessage(request.socket);
	rewritten.method = request.method;
	rewritten.url = request.url;
	rewritten.headers = { ...request.headers, "content-length": String(body.length) };
	delete rewritten.headers["transfer-encoding"];
	asIssuer(rewritten.headers, issuer, request.ip);
	rewritten.push(body);
	rewritten.push(null);
	// An incomplete message takes its socket with it when it is done with.
	rewritten.complete = true;
	await provider.callback()(rewritten, response);
}
