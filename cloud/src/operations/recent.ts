/** A bounded map that forgets by age and, when full, what was put first. */
export class Recent<Key, Value> {
	readonly #limit: number;
	readonly #ageMs: number;
	readonly #entries = new Map<Key, { value: Value; untilMs: number }>();

	constructor(limit: number, ageMs: number) {
		this.#limit = limit;
		this.#ageMs = ageMs;
	}

	get(key: Key): Value | undefined {
		const entry = this.#entries.get(key);
		if (entry === undefined) return undefined;
		if (entry.untilMs >= Date.now()) return entry.value;
		this.#entries.delete(key);
		return undefined;
	}

	/** A key that is there already keeps its age. */
	set(key: Key, value: Value): void {
		const known = this.#entries.get(key);
		if (known?.value === value) return;
		this.#entries.delete(key);
		this.#entries.set(key, { value, untilMs: Date.now() + this.#ageMs });
		if (this.#entries.size > this.#limit) this.#entries.delete(this.#entries.keys().next().value as Key);
	}

	delete(key: Key): void {
		this.#entries.delete(key);
	}

	clear(): void {
		this.#entries.clear();
	}
}
