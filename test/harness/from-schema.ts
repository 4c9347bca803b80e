/** Values from a JSON schema of the OpenAPI document: good ones, nearly good ones, and rubbish in their places. */
import fc from "fast-check";

export type Schema = { readonly [key: string]: unknown };
type Value = fc.Arbitrary<unknown>;

/** What has hurt somebody somewhere. */
const hostileTexts = [
	"",
	"\u0000",
	"a\u0000b",
	"\ud800",
	"__proto__",
	"constructor",
	"toString",
	"../../etc/passwd",
	"%00",
	"' or 1=1 --",
	"$(reboot)",
	"{{7*7}}",
	"\u202e",
	"9".repeat(400),
	"x".repeat(70_000),
	"NaN",
	"-0",
	"1e999",
	"2026-13-45T99:99:99Z",
	"+275760-09-13T00:00:00.001Z",
	"11111111-2222-4333-8444-55555555555",
];
const hostileNumbers = [0, -0, -1, 0.1, 1e21, 1e308, -1e308, 2 ** 31, 2 ** 53, -(2 ** 63), 2 ** 64];

const rubbish: Value = fc.oneof(
	fc.constantFrom<unknown>(null, true, [], {}, [[[[]]]], { "": null }, JSON.parse('{"__proto__":{"a":1}}')),
	fc.constantFrom(...hostileTexts),
	fc.constantFrom(...hostileNumbers),
	fc.jsonValue({ maxDepth: 4 }),
	fc.integer({ min: 1, max: 3_000 }).map((levels) => JSON.parse(`${"[".repeat(levels)}${"]".repeat(levels)}`)),
	fc.integer({ min: 1, max: 3_000 }).map((count) => Array.from({ length: count }, () => 0)),
);

/** `ids`: of things that there are. */
export class SchemaValues {
	readonly #schemas: Readonly<Record<string, Schema>>;
	readonly #ids: readonly string[];

	constructor(schemas: Readonly<Record<string, Schema>>, ids: readonly string[]) {
		this.#schemas = schemas;
		this.#ids = ids;
	}

	/** Mostly as the schema has it. */
	of(schema: Schema, depth = 0): Value {
		if (depth > 6) return rubbish;
		return fc.oneof({ weight: 12, arbitrary: this.#fitting(schema, depth) }, { weight: 1, arbitrary: rubbish });
	}

	#fitting(schema: Schema, depth: number): Value {
		const { $ref, const: only, enum: words, anyOf, oneOf, allOf } = schema;
		if (typeof $ref === "string") return this.#fitting(this.#schemas[$ref.split("/").at(-1) as string] ?? {}, depth);
		if (only !== undefined) return fc.constant(only);
		if (Array.isArray(words)) return fc.constantFrom(...words);
		const either = (anyOf ?? oneOf ?? allOf) as readonly Schema[] | undefined;
		if (either) return fc.oneof(...either.map((one) => this.of(one, depth + 1)));
		const types = [schema.type ?? []].flat() as string[];
		const known = types.map((type) => this.#ofType(type, schema, depth)).filter((value) => value !== undefined);
		return known.length > 0 ? fc.oneof(...known) : rubbish;
	}

	#ofType(type: string, schema: Schema, depth: number): Value | undefined {
		switch (type) {
			case "null":
				return fc.constant(null);
			case "boolean":
				return fc.boolean();
			case "integer":
			case "number":
				return fc.oneof(fc.nat(100), fc.constantFrom(...hostileNumbers));
			case "string":
				return this.#text(schema);
			case "array":
				return fc.array(this.of((schema.items as Schema) ?? {}, depth + 1), { maxLength: 3 });
			case "object":
				return this.#object(schema, depth);
			default:
				return undefined;
		}
	}

	#text(schema: Schema): Value {
		const ids = fc.oneof(fc.constantFrom(...this.#ids), fc.uuid());
		if (schema.format === "uuid") return fc.oneof({ weight: 8, arbitrary: ids }, fc.constantFrom(...hostileTexts));
		if (schema.format === "date-time")
			return fc.oneof(fc.constant("2026-01-01T00:00:00Z"), fc.constantFrom(...hostileTexts));
		return fc.oneof(
			ids,
			fc.constantFrom("local", "5\n11\n[]5\n11\n{}", "8\nst\nf:pass", "7\ner\nnull", "3\ner\n", "all"),
			fc.constantFrom(...hostileTexts),
			fc.string({ unit: "binary", maxLength: 30 }),
		);
	}

	#object(schema: Schema, depth: number): Value {
		const properties = Object.entries((schema.properties as Record<string, Schema> | undefined) ?? {});
		const required = (schema.required as readonly string[] | undefined) ?? [];
		const fixed = fc.record(Object.fromEntries(properties.map(([key, inner]) => [key, this.of(inner, depth + 1)])), {
			requiredKeys: properties.map(([key]) => key).filter((key) => required.includes(key)),
		});
		const more = schema.additionalProperties;
		if (typeof more !== "object" || more === null) return fixed;
		const free = fc.dictionary(
			this.#text((schema.propertyNames as Schema) ?? {}) as fc.Arbitrary<string>,
			this.of(more as Schema, depth + 1),
			{
				maxKeys: 3,
			},
		);
		return fc.tuple(fixed, free).map(([one, two]) => ({ ...(two as object), ...(one as object) }));
	}
}
