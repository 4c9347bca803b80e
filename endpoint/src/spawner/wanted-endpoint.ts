/** What a manager knows of one user endpoint that is wanted, from the command for it until its process has ended. */
import type { ChildAudit } from "./child-audit.ts";
import type { StartRequest } from "./start-request.ts";
import type { LivingProcess } from "./user-process.ts";

export interface WantedEndpoint {
	/** Undefined of an adopted one. */
	request: StartRequest | undefined;
	/** Of the newest request that is being served. */
	clientId: string;
	/** Of its account; undefined until that is looked up. */
	uid: number | undefined;
	/** Undefined while it is being prepared. */
	process: LivingProcess | undefined;
	/** Resolves when the process is there, or could not be started; never rejects. Undefined before and after. */
	launching: Promise<unknown> | undefined;
	/** Of what it says; undefined until it has said something. */
	audit: ChildAudit | undefined;
	early: () => string;
	/** Came while the process was there: it has another key. */
	next: { readonly request: StartRequest; readonly sentAtMs: number | undefined } | undefined;
	/** What it said of its own failure, or we of our own act. */
	reason: string | undefined;
	/** Ends it when it takes too long over something. */
	limit: NodeJS.Timeout | undefined;
}

export const wantedEndpoint = (request: StartRequest | undefined, clientId: string): WantedEndpoint => ({
	request,
	clientId,
	uid: undefined,
	process: undefined,
	launching: undefined,
	audit: undefined,
	early: () => "",
	next: undefined,
	reason: undefined,
	limit: undefined,
});
