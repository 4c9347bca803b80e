/** Times as flows write them: RFC 3339 with a `T` and an offset or `Z`. */
const form =
	/^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$/;

/** Milliseconds since 1970; undefined when it is not such a time. */
export function parseTimestamp(text: string): number | undefined {
	if (!form.test(text)) return undefined;
	const ms = Date.parse(text);
	const day = Number(text.slice(8, 10));
	// Date takes the 31st of a month with 30 days for the 1st of the next.
	const exists = new Date(Date.UTC(Number(text.slice(0, 4)), Number(text.slice(5, 7)) - 1, day)).getUTCDate() === day;
	return Number.isNaN(ms) || !exists ? undefined : ms;
}
