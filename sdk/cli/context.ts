/** What a verb is given: the person's surroundings and the way to the cloud. Tests put other parts in. */
import type { Whoami } from "@errand/proto/rest";
import type { Client } from "../src/index.ts";
import type { Home } from "./home.ts";

export interface DevicePrompt {
	/** Where a person confirms. */
	verificationUrl: string;
	/** What a person types there. */
	userCode: string;
}

export interface Context {
	readonly environment: NodeJS.ProcessEnv;
	readonly workingDirectory: string;
	readonly home: Home;
	/** Ctrl-C. */
	readonly signal: AbortSignal;
	/** Where a child's own output goes: stderr when stdout carries JSON or ids. */
	readonly childOutput: "inherit" | "stderr";
	/** A sentence for the person, on stderr. */
	note(text: string): void;
	/** One line on stderr that the next replaces, and an empty one takes away; nothing where nobody looks. */
	progress(text: string): void;
	/** Somebody is there to answer {@link ask}. */
	readonly attended: boolean;
	/** One line from the person; `secret` is not echoed. A Complaint when nobody is there to ask. */
	ask(question: string, options?: { secret?: boolean }): Promise<string>;
	/** All of stdin. */
	readInput(): Promise<string>;
	/** The cloud that this person is logged in to. A Complaint when there is none. */
	client(): Promise<Client>;
	/** Device login; the tokens are kept and this cloud becomes the current one. `fresh`: with the password again. */
	login(cloudUrl: string, how: { fresh: boolean }, onPrompt: (prompt: DevicePrompt) => Promise<void>): Promise<Whoami>;
	/** Revokes and forgets the current cloud's tokens; its address, or undefined when there were none. */
	logout(): Promise<string | undefined>;
	/** Unix milliseconds. */
	now(): number;
	/** Resolves after a pause, at once when `sooner` does; rejects when the signal says stop. */
	pause(ms: number, sooner?: Promise<void>): Promise<void>;
}
