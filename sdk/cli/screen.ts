/** What a verb may write to, in the mode the person chose. */
import { styleText } from "node:util";
import { type Column, formatPairs, formatTable } from "./table.ts";

export interface Sink {
	write(text: string): unknown;
	readonly isTTY?: boolean;
}

export type Mode = "table" | "json" | "quiet";

type Colour = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

export class Screen {
	readonly mode: Mode;
	readonly #out: Sink;
	readonly #err: Sink;
	readonly #colour: boolean;

	constructor(options: { mode: Mode; out: Sink; err: Sink; environment: NodeJS.ProcessEnv }) {
		this.mode = options.mode;
		this.#out = options.out;
		this.#err = options.err;
		this.#colour = options.out.isTTY === true && !options.environment.NO_COLOR && options.environment.TERM !== "dumb";
	}

	/** Raw text on stdout, as a task printed it. */
	out(text: string): void {
		this.#out.write(text);
	}

	/** Raw text on stderr. */
	err(text: string): void {
		this.#err.write(text);
	}

	line(text: string): void {
		this.#out.write(`${text}\n`);
	}

	/** For the person, never for a pipe: prompts, what is being waited for, what to do next. */
	note(text: string): void {
		this.#err.write(`${text}\n`);
	}

	/** `empty` is said in words when there are no rows. */
	table<Row>(rows: readonly Row[], columns: readonly Column<Row>[], empty: string): void {
		if (rows.length === 0) this.note(empty);
		else this.line(formatTable(rows, columns, (text) => this.style("dim", text)));
	}

	pairs(pairs: readonly (readonly [name: string, value: string | undefined])[]): void {
		this.line(formatPairs(pairs, (text) => this.style("dim", text)));
	}

	style(colour: Colour | undefined, text: string): string {
		return this.#colour && colour ? styleText(colour, text, { validateStream: false }) : text;
	}
}

/** The colour of a word of state, so that the same word looks the same everywhere. */
export const stateColours: Readonly<Record<string, Colour | undefined>> = {
	success: "green",
	online: "green",
	running: "cyan",
	active: "green",
	held: "red",
	draining: "yellow",
	ok: "green",
	failed: "red",
	fault: "red",
	cancelled: "yellow",
	offline: "yellow",
	stopped: "yellow",
	warning: "yellow",
};
