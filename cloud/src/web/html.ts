/** HTML as tagged templates: whatever is put in is escaped, unless it is HTML already. */
export class Html {
	readonly text: string;

	constructor(text: string) {
		this.text = text;
	}

	toString(): string {
		return this.text;
	}
}

const entities: Readonly<Record<string, string>> = {
	"&": "&amp;",
	"<": "&lt;",
	">": "&gt;",
	'"': "&quot;",
	"'": "&#39;",
};

type Value = Html | string | number | undefined | false | readonly Html[];

function render(value: Value): string {
	if (value === undefined || value === false) return "";
	if (value instanceof Html) return value.text;
	if (typeof value === "object") return value.map((part) => part.text).join("");
	return String(value).replace(/[&<>"']/g, (character) => entities[character] ?? character);
}

export function html(parts: TemplateStringsArray, ...values: readonly Value[]): Html {
	return new Html(parts.reduce((text, part, index) => text + render(values[index - 1]) + part));
}
