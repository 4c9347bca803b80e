/** JSON or YAML text → a JSON value, and where each part of it is. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import { type DocumentPath, Findings, type TextPlaces } from "./findings.ts";
import { flowLimitDepth } from "./flow-limits.ts";
import { isPrototypeKey, type Json } from "./json.ts";

/** Text of at most so many characters is read: a definition with its schema, its comments and blanks. */
export const flowSourceLimitChars = 1024 * 1024;

export interface TextReading {
	/** Undefined when the text cannot be read; why is among the findings. */
	readonly value: Json | undefined;
	/** Knows the lines of the text. */
	readonly findings: Findings;
}

/** Never throws. */
export function readText(text: string): TextReading {
	const reader = new TextReader();
	return { value: reader.read(text), findings: reader.findings };
}

interface Places {
	readonly key: TextPlaces | undefined;
	readonly value: TextPlaces;
}

class TextReader {
	readonly #lines = new LineCounter();
	readonly #places = new Map<string, Places>();
	/** Where nothing of the document is meant, but a place in its text. */
	#offset: number | undefined;
	readonly findings = new Findings((path, part) => {
		if (this.#offset !== undefined) return this.#at(this.#offset);
		const places = this.#nearest(path);
		return part === "key" ? (places?.key ?? places?.value) : places?.value;
	});

	read(text: string): Json | undefined {
		if (text.length > flowSourceLimitChars) {
			this.findings.error(
				"limit",
				[],
				`a flow's text has at most ${flowSourceLimitChars} characters, this one has ${text.length}`,
			);
			return undefined;
		}
		try {
			const document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false, logLevel: "silent" });
			for (const { pos, message } of document.errors) this.#refuse(pos[0], message);
			if (document.errors.length > 0) return undefined;
			const value = this.#value(document.contents, []);
			return this.findings.hasErrors ? undefined : value;
		} catch (error) {
			if (!(error instanceof RangeError)) throw error;
			this.findings.error("limit", [], `more than ${flowLimitDepth} lists and objects in one another`);
			return undefined;
		}
	}

	#value(node: unknown, path: DocumentPath): Json {
		const offset = rangeStart(node) ?? 0;
		if (path.length > flowLimitDepth * 2) throw new RangeError("too deep");
		if (!this.#places.has(keyOf(path))) this.#places.set(keyOf(path), { key: undefined, value: this.#at(offset) });
		if (isAlias(node))
			this.#refuse(offset, `*${node.source}: anchors are not taken, because JSON has none: write it out`);
		else if (isSeq(node)) return node.items.map((item, i) => this.#value(item, [...path, i]));
		else if (isMap(node)) {
			const entries: [string, Json][] = [];
			for (const { key, value } of node.items) {
				const at = rangeStart(key) ?? offset;
				if (!isScalar(key) || key.value === null) {
					this.#refuse(at, "a key is a string");
					continue;
				}
				const name = String(key.value);
				if (isPrototypeKey(name)) this.#refuse(at, `${JSON.stringify(name)} is not taken as a key`);
				const place = [...path, name];
				this.#places.set(keyOf(place), { key: this.#at(at), value: this.#at(rangeStart(value) ?? at) });
				entries.push([name, this.#value(value, place)]);
			}
			return Object.fromEntries(entries);
		} else if (isScalar(node)) {
			const { value } = node;
			if (value === null || typeof value === "string" || typeof value === "boolean") return value;
			if (typeof value === "number" && Number.isFinite(value)) return value;
			this.#refuse(offset, `${String(value)} has no form in JSON`);
		}
		return null;
	}

	#refuse(offset: number, message: string): void {
		this.#offset = offset;
		this.findings.error("syntax", [], message);
		this.#offset = undefined;
	}

	/** Of what a path names, or of what contains it. */
	#nearest(path: DocumentPath): Places | undefined {
		for (let length = path.length; length >= 0; length--) {
			const places = this.#places.get(keyOf(path.slice(0, length)));
			if (places) return places;
		}
		return undefined;
	}

	#at(offset: number): TextPlaces {
		const { line, col } = this.#lines.linePos(offset);
		return { line: Math.max(1, line), column: Math.max(1, col) };
	}
}

const keyOf = (path: DocumentPath): string => JSON.stringify(path.map(String));

function rangeStart(node: unknown): number | undefined {
	return (node as { range?: readonly number[] | null } | null)?.range?.[0];
}
