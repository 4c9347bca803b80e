/** Lets so many through at once; the others wait in order. */
export function openGate(limit: number): <Value>(work: () => Promise<Value>) => Promise<Value> {
	let inside = 0;
	const waiting: (() => void)[] = [];
	return async (work) => {
		if (inside >= limit) await new Promise<void>((resolve) => waiting.push(resolve));
		else inside++;
		try {
			return await work();
		} finally {
			const next = waiting.shift();
			if (next === undefined) inside--;
			else next();
		}
	};
}
