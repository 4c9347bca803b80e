/** Logging in and agreeing: what the provider asks a person, page by page. */
import { Fault } from "@errand/proto";
import type { Request, Response, Router } from "express";
import express from "express";
import type Provider from "oidc-provider";
import { accountsByIds } from "../store/identity.ts";
import { consentPage, errorPage, loginPage } from "../web/identity-pages.ts";
import type { Accounts } from "./accounts.ts";
import type { IdentityDatabase } from "./database.ts";
import { pagePolicy } from "./page-policy.ts";
import { interactionPath } from "./provider.ts";
import { byResourceServer, purposeOf } from "./scopes.ts";

type Details = Awaited<ReturnType<Provider["interactionDetails"]>>;

export interface InteractionOptions {
	db: IdentityDatabase;
	accounts: Accounts;
	/** The provider of this moment. */
	provider: () => Provider;
}

const form = express.urlencoded({ extended: false, limit: "8kb" });

function field(request: Request, name: string): string {
	const body: unknown = request.body;
	const value = typeof body === "object" && body !== null ? (body as Record<string, unknown>)[name] : undefined;
	return typeof value === "string" ? value : "";
}

/** Where the program gets its answer; a device asks for it itself and has no such place. */
function redirectUri(details: Details): URL | undefined {
	const uri = details.params.redirect_uri;
	return typeof uri === "string" && URL.canParse(uri) ? new URL(uri) : undefined;
}

export function addInteractions(router: Router, { db, accounts, provider }: InteractionOptions): void {
	async function clientName(details: Details): Promise<string> {
		const id = String(details.params.client_id);
		return (await provider().Client.find(id))?.clientName ?? id;
	}

	async function show(
		details: Details,
		response: Response,
		problem?: { text: string; username: string },
	): Promise<void> {
		const action = `${interactionPath}/${details.uid}`;
		const destination = redirectUri(details);
		// Browsers apply form-action to the redirects that follow, so the program's own address must be in it.
		pagePolicy(response, destination === undefined ? [] : [destination.origin]);
		if (details.prompt.name === "login") {
			response.send(
				loginPage({
					action: `${action}/login`,
					clientName: await clientName(details),
					...(problem === undefined ? {} : { problem: problem.text, username: problem.username }),
				}),
			);
			return;
		}
		const [account] = await accountsByIds(
			db,
			[details.session?.accountId ?? ""].filter((id) => id !== ""),
		);
		const wanted = String(details.params.scope ?? "").split(" ");
		response.send(
			consentPage({
				action: `${action}/consent`,
				clientName: await clientName(details),
				username: account?.username ?? "",
				purposes: byResourceServer(wanted).flatMap((part) =>
					part.scope.split(" ").flatMap((name) => purposeOf(name) ?? []),
				),
				destination: destination?.host ?? "the device that asked",
			}),
		);
	}

	/** Back to the provider, at this site's own address whatever name it was reached under. */
	async function goOn(
		request: Request,
		response: Response,
		result: Parameters<Provider["interactionResult"]>[2],
		mergeWithLastSubmission: boolean,
	): Promise<void> {
		const next = new URL(await provider().interactionResult(request, response, result, { mergeWithLastSubmission }));
		response.redirect(303, next.pathname + next.search);
	}

	/** Runs a handler with the interaction that the browser's cookie and the address name; a page says so when there is none. */
	function withDetails(handler: (details: Details, request: Request, response: Response) => Promise<void>) {
		return async (request: Request, response: Response): Promise<void> => {
			pagePolicy(response, []);
			let details: Details;
			try {
				details = await provider().interactionDetails(request, response);
				if (details.uid !== request.params.uid) throw new Error("another interaction's cookie");
			} catch {
				response.status(400).send(errorPage("session_not_found", "This login page is too old, or cookies are off."));
				return;
			}
			await handler(details, request, response);
		};
	}

	router.get(
		`${interactionPath}/:uid`,
		withDetails((details, _request, response) => show(details, response)),
	);

	router.post(
		`${interactionPath}/:uid/login`,
		form,
		withDetails(async (details, request, response) => {
			if (details.prompt.name !== "login") throw new Fault("REQUEST_MALFORMED", "This login has gone on already.");
			const username = field(request, "username").trim();
			try {
				const account = await accounts.logIn(username, field(request, "password"), request.ip ?? "");
				if (account === undefined) {
					response.status(401);
					await show(details, response, { text: "Username or password is wrong.", username });
					return;
				}
				await goOn(request, response, { login: { accountId: account.id, remember: true, amr: ["pwd"] } }, false);
			} catch (error) {
				if (!(error instanceof Fault) || error.code !== "TOO_MANY_REQUESTS") throw error;
				response.status(error.httpStatus).set("Retry-After", String(error.retryAfterS ?? 60));
				await show(details, response, { text: error.message, username });
			}
		}),
	);

	router.post(
		`${interactionPath}/:uid/consent`,
		form,
		withDetails(async (details, request, response) => {
			const accountId = details.session?.accountId;
			if (details.prompt.name !== "consent" || accountId === undefined) {
				throw new Fault("REQUEST_MALFORMED", "This login has not come to the point of consent; start it again.");
			}
			const { Grant } = provider();
			const grant = new Grant({ accountId, clientId: String(details.params.client_id) });
			grant.addOIDCScope(String(details.params.scope ?? ""));
			await goOn(request, response, { consent: { grantId: await grant.save() } }, true);
		}),
	);

	for (const step of ["login", "consent"]) {
		router.post(
			`${interactionPath}/:uid/${step}/abort`,
			form,
			withDetails((_details, request, response) => goOn(request, response, { error: "access_denied" }, false)),
		);
	}
}
