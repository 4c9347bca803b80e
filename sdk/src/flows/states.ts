/** States of a flow that is being written: each new one follows what is still open. */
import { formatPath } from "@errand/proto/flow";

export type StateDocument = Record<string, unknown>;

/** A way out that leads nowhere yet. Undefined: the graph ends there. */
type OpenEnd = (next: string | undefined) => void;

/** Names that have been given. They are unique in the whole flow, so branches share them with the flow around. */
export class Names {
	readonly #taken: Set<string>;
	/** Of the state's keys here, besides. */
	readonly #keys: ReadonlySet<string>;

	constructor(keys: readonly string[] = [], around?: Names) {
		this.#taken = around ? around.#taken : new Set();
		this.#keys = new Set(keys);
	}

	take(name: string): string {
		if (this.#has(name))
			throw new TypeError(`there is a step or an input "${name}" already: names are unique in a flow`);
		// As a property of `input` or `steps` it would be the place of a list, or what JavaScript asks of every value.
		if (/^\d+$/.test(name) || name === "then" || name === "toJSON")
			throw new TypeError(`"${name}" is not taken as the name of a step or an input`);
		this.#taken.add(name);
		return name;
	}

	/** This word, or with a number after it. */
	free(name: string): string {
		let candidate = name;
		for (let i = 2; this.#has(candidate); i++) candidate = `${name} ${i}`;
		return this.take(candidate);
	}

	#has(name: string): boolean {
		return this.#taken.has(name) || this.#keys.has(name) || name === "error" || name === "_context";
	}
}

export class States {
	readonly names: Names;
	readonly #states: [name: string, state: StateDocument][] = [];
	#startAt: string | undefined;
	#end: string | undefined;
	#open: OpenEnd[] = [
		(next) => {
			this.#startAt = next;
		},
	];

	constructor(names: Names) {
		this.names = names;
	}

	/** Puts a state after everything that is open, and leaves its own way out open. */
	add(name: string, state: StateDocument): void {
		this.place(name, state);
		this.#open = [
			(next) => {
				if (next === undefined) state.End = true;
				else state.Next = next;
			},
		];
	}

	/** A state that ends the graph, or whose ways out are opened by {@link branch}. */
	place(name: string, state: StateDocument): void {
		if (this.#open.length === 0)
			throw new TypeError(`nothing leads to the step "${name}": what is before it ends the flow`);
		this.names.take(name);
		this.#states.push([name, state]);
		for (const end of this.#open) end(name);
		this.#open = [];
	}

	/**
	 * The steps that `write` adds follow one way out of a state: `enter` is told the first of them. When it adds none the
	 * way out itself stays open. What they leave open is so beside what was.
	 */
	branch(enter: OpenEnd, write: () => void): void {
		const before = this.#open;
		this.#open = [enter];
		write();
		this.#open = [...before, ...this.#open];
	}

	/** The document. Ways out that are still open end the graph. */
	finish(): { StartAt: string; States: Record<string, StateDocument> } {
		if (this.#states.length === 0) this.#startAt = this.end();
		else for (const end of this.#open) end(undefined);
		this.#open = [];
		return { StartAt: this.#startAt ?? "", States: Object.fromEntries(this.#states) };
	}

	/** The state to which a rule or a Catch goes that ends the graph. */
	end(): string {
		if (this.#end === undefined) {
			this.#end = this.names.free("Done");
			this.#states.push([this.#end, { Type: "Succeed" }]);
		}
		return this.#end;
	}
}

export const resultPath = (name: string): string => formatPath([name]);
