/** What a flow is started with, as JSON Schema that TypeScript understands. */

/** A schema of values that are a `T`. */
export interface InputType<T> {
	readonly schema: Readonly<Record<string, unknown>>;
	/** Never there: what its values are. */
	readonly gives?: T;
}

interface About {
	title?: string;
	description?: string;
}

const typed = <T>(schema: Readonly<Record<string, unknown>>): InputType<T> => ({ schema });

/** A collection or endpoint and a path in it. */
export interface Place {
	id: string;
	path: string;
}

/** Types of inputs: `input.text({ title: "Sample" })`. What has a `default` need not be given. */
export const input = {
	text: (about: About & { default?: string; enum?: readonly string[]; format?: string } = {}) =>
		typed<string>({ type: "string", ...about }),
	number: (about: About & { default?: number; minimum?: number; maximum?: number } = {}) =>
		typed<number>({ type: "number", ...about }),
	integer: (about: About & { default?: number; minimum?: number; maximum?: number } = {}) =>
		typed<number>({ type: "integer", ...about }),
	flag: (about: About & { default?: boolean } = {}) => typed<boolean>({ type: "boolean", ...about }),
	list: <T>(items: InputType<T>, about: About & { minItems?: number; maxItems?: number } = {}) =>
		typed<readonly T[]>({ type: "array", items: items.schema, ...about }),
	endpoint: (about: About = {}) => typed<string>({ type: "string", format: "errand-endpoint", ...about }),
	function: (about: About = {}) => typed<string>({ type: "string", format: "errand-function", ...about }),
	place: (about: About = {}) =>
		typed<Place>({
			type: "object",
			format: "globus-collection",
			required: ["id", "path"],
			properties: { id: { type: "string" }, path: { type: "string" } },
			additionalProperties: false,
			...about,
		}),
	object: <Fields extends InputFields>(fields: Fields) => typed<Given<Fields>>(objectSchema(fields)),
	/** Any JSON Schema; say in `<…>` what it describes. */
	schema: <T>(schema: Readonly<Record<string, unknown>>) => typed<T>(schema),
};

export interface InputFields {
	readonly [name: string]: InputType<unknown>;
}

/** The values that such fields have. */
export type Given<Fields extends InputFields> = {
	readonly [Name in keyof Fields]: Fields[Name] extends InputType<infer T> ? T : never;
};

export function objectSchema(fields: InputFields): Readonly<Record<string, unknown>> {
	const required = Object.entries(fields).flatMap(([name, { schema }]) => ("default" in schema ? [] : [name]));
	return {
		type: "object",
		...(required.length > 0 && { required }),
		properties: Object.fromEntries(Object.entries(fields).map(([name, { schema }]) => [name, schema])),
		additionalProperties: false,
	};
}
