/** Times and sizes as people write them in settings. */
import * as z from "zod";

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const byteUnits: Readonly<Record<string, number>> = {
	B: 1,
	KB: 1e3,
	MB: 1e6,
	GB: 1e9,
	TB: 1e12,
	KiB: 2 ** 10,
	MiB: 2 ** 20,
	GiB: 2 ** 30,
	TiB: 2 ** 40,
};

/** "30s", "2h", "1:30:00" or "1-12:00:00" as schedulers write it, or a number of seconds → milliseconds. */
export const duration = z.union([z.number().min(0), z.string()]).transform((value, context) => {
	if (typeof value === "number") return Math.round(value * 1000);
	const amount = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?$/.exec(value);
	if (amount) return Math.round(Number(amount[1]) * (units[amount[2] ?? "s"] as number));
	const clock = /^(?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d)$/.exec(value);
	if (clock) {
		const [days, hours, minutes, seconds] = clock.slice(1).map((part) => Number(part ?? 0)) as number[];
		return (((days as number) * 24 + (hours as number)) * 3600 + (minutes as number) * 60 + (seconds as number)) * 1000;
	}
	context.addIssue({ code: "custom", message: 'a time: a number of seconds, or like "30s", "10m", "2h", "1:30:00"' });
	return z.NEVER;
});

/** "16GB", "512MiB", or a number of bytes → bytes. */
export const size = z.union([z.int().min(0), z.string()]).transform((value, context) => {
	if (typeof value === "number") return value;
	const match = /^(\d+(?:\.\d+)?)\s*(B|[KMGT]i?B)$/.exec(value);
	if (match) return Math.round(Number(match[1]) * (byteUnits[match[2] as string] as number));
	context.addIssue({ code: "custom", message: 'a size: a number of bytes, or like "512MiB", "16GB"' });
	return z.NEVER;
});
