/** Durations as people write them: `500ms`, `30s`, `5m`, `2h`, `1d`, `1h30m`; a bare number is seconds. */
const unitsMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const PARTS = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g;

/** Milliseconds, or undefined when `text` is not a duration. Inverse of {@link formatDuration} up to rounding. */
export function parseDuration(text: string): number | undefined {
	const trimmed = text.trim().toLowerCase();
	if (/^\d+(\.\d+)?$/.test(trimmed)) return Number(trimmed) * 1000;
	if (trimmed === "" || trimmed.replace(PARTS, "") !== "") return undefined;
	let sum = 0;
	for (const [, number, unit] of trimmed.matchAll(PARTS)) sum += Number(number) * unitsMs[unit as keyof typeof unitsMs];
	return sum;
}

/** `3.4 s`, `2 min 5 s`, `4 h 10 min`, `3 d`: two units at most. Inverse of {@link parseDuration} up to rounding. */
export function formatDuration(ms: number): string {
	if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
	if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
	const seconds = Math.round(ms / 1000);
	if (seconds < 60) return `${seconds} s`;
	if (seconds < 3600) return joined(Math.floor(seconds / 60), "min", seconds % 60, "s");
	const minutes = Math.round(seconds / 60);
	if (minutes < 1440) return joined(Math.floor(minutes / 60), "h", minutes % 60, "min");
	const hours = Math.round(minutes / 60);
	return joined(Math.floor(hours / 24), "d", hours % 24, "h");
}

function joined(major: number, majorUnit: string, minor: number, minorUnit: string): string {
	return minor === 0 ? `${major} ${majorUnit}` : `${major} ${majorUnit} ${minor} ${minorUnit}`;
}

/** `just now`, `12 s ago`, `3 h ago`; one unit, for columns. */
export function formatAge(fromMs: number, nowMs: number): string {
	const seconds = Math.max(0, Math.round((nowMs - fromMs) / 1000));
	if (seconds < 2) return "just now";
	if (seconds < 60) return `${seconds} s ago`;
	if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
	if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
	return `${Math.floor(seconds / 86_400)} d ago`;
}
