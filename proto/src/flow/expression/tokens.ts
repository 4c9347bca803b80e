/** The text of an expression → its words. */

export interface Token {
	readonly kind: "name" | "number" | "string" | "path" | "operator" | "end";
	/** A name, an operator, or the value of a string or path. */
	readonly text: string;
	/** Of a number. */
	readonly value: number;
	/** The first character, from 0. */
	readonly at: number;
}

/** An expression that cannot be read; `at` is the character, from 0. */
export class ExpressionFault extends Error {
	override readonly name = "ExpressionFault";
	readonly at: number;

	constructor(message: string, at: number) {
		super(message);
		this.at = at;
	}
}

const blank = /[ \t\r\n]+/y;
const name = /[\p{L}_][\p{L}\p{N}_]*/uy;
const number = /(?:\d(?:_?\d)*(?:\.(?:\d(?:_?\d)*)?)?|\.\d(?:_?\d)*)(?:[eE][+-]?\d+)?/y;
const text = /'((?:[^'\\\n]|\\[\s\S])*)'|"((?:[^"\\\n]|\\[\s\S])*)"/y;
const path = /`([^`]*)`/y;
const operator = /\*\*|\/\/|==|!=|<=|>=|[-+*/%<>()[\]{},:.]/y;

/** What Python has and this language does not, with what to write instead. */
const foreign: readonly (readonly [RegExp, string])[] = [
	[/[fFrRbBuU]{1,2}['"]/y, "strings have no prefix: join parts with +"],
	[/&&/y, 'write "and"'],
	[/\|\|/y, 'write "or"'],
	[/!/y, 'write "not", or != for unequal'],
	[/=/y, "there is no assignment and there are no named arguments; equality is =="],
	[/'|"/y, "a string that does not end"],
	[/`/y, "a path that does not end: it is between two backticks"],
	[/\$/y, "a path is written between backticks: `$.input.files`"],
	[/[&|^~@]|<<|>>/y, "this operator is not taken"],
	[/#/y, "comments are not taken: the state's Comment is the place"],
	[/\?/y, 'write "x if test else y"'],
	[/;/y, "one expression only"],
];

const escapes: Readonly<Record<string, string>> = {
	"\\": "\\",
	"'": "'",
	'"': '"',
	n: "\n",
	r: "\r",
	t: "\t",
};

/** Throws an {@link ExpressionFault}. The last token is of kind `end`. */
export function tokenize(source: string): readonly Token[] {
	const tokens: Token[] = [];
	let at = 0;
	const take = (expression: RegExp): RegExpExecArray | null => {
		expression.lastIndex = at;
		return expression.exec(source);
	};
	while (at < source.length) {
		const gap = take(blank);
		if (gap) {
			at += gap[0].length;
			continue;
		}
		const prefixed = foreign[0] as (typeof foreign)[number];
		if (take(prefixed[0])) throw new ExpressionFault(prefixed[1], at);
		const found =
			word("name", take(name)) ??
			numeral(take(number)) ??
			literal(take(text)) ??
			word("path", take(path), 1) ??
			word("operator", take(operator));
		if (!found) {
			const known = foreign.find(([expression]) => take(expression));
			throw new ExpressionFault(known?.[1] ?? `"${String.fromCodePoint(source.codePointAt(at) ?? 0)}" is not read`, at);
		}
		tokens.push({ ...found.token, at });
		at += found.length;
	}
	tokens.push({ kind: "end", text: "", value: 0, at: source.length });
	return tokens;

	function numeral(found: RegExpExecArray | null) {
		if (!found) return undefined;
		const [digits] = found;
		const value = Number(digits.replaceAll("_", ""));
		const after = source[at + digits.length] ?? "";
		if (/[\p{L}\p{N}_]/u.test(after)) throw new ExpressionFault(`"${digits}${after}" is not a number`, at);
		if (/^0\d/.test(digits) && Number.isInteger(value) && !/[.eE]/.test(digits) && !/^[0_]+$/.test(digits))
			throw new ExpressionFault(`a number does not begin with 0: "${digits}"`, at);
		if (!Number.isFinite(value)) throw new ExpressionFault(`"${digits}" is larger than a number can be`, at);
		if (/^[\d_]+$/.test(digits) && !Number.isSafeInteger(value))
			throw new ExpressionFault(`"${digits}" is larger than 2**53, which JSON does not carry exactly`, at);
		return { token: { kind: "number" as const, text: digits, value }, length: digits.length };
	}

	function literal(found: RegExpExecArray | null) {
		if (!found) return undefined;
		const [whole, single, double] = found;
		return {
			token: { kind: "string" as const, text: unescaped(single ?? double ?? ""), value: 0 },
			length: whole.length,
		};
	}

	function unescaped(raw: string): string {
		return raw.replaceAll(
			/\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([\s\S]))/g,
			(whole, unicode, hex, letter: string) => {
				if (unicode ?? hex) return String.fromCharCode(Number.parseInt(unicode ?? hex, 16));
				const known = escapes[letter];
				if (known === undefined)
					throw new ExpressionFault(
						`"${whole}" is not an escape: there are \\n \\r \\t \\\\ \\' \\" \\xhh \\uhhhh`,
						at,
					);
				return known;
			},
		);
	}

	function word(kind: Token["kind"], found: RegExpExecArray | null, group = 0) {
		return found && { token: { kind, text: found[group] ?? "", value: 0 }, length: found[0].length };
	}
}
