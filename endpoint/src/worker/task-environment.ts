/** Environment variables of one task: set before it runs, put back after. */

/** Returns what {@link restoreEnvironment} needs. */
export function setEnvironment(variables: Readonly<Record<string, string>>): Map<string, string | undefined> {
	const before = new Map<string, string | undefined>();
	for (const name in variables) {
		before.set(name, process.env[name]);
		process.env[name] = variables[name];
	}
	return before;
}

export function restoreEnvironment(before: ReadonlyMap<string, string | undefined>): void {
	for (const [name, value] of before) {
		if (value === undefined) delete process.env[name];
		else process.env[name] = value;
	}
}
