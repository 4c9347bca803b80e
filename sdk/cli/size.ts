/** Sizes as people write them; K, M, G, T are powers of 1,024, as everywhere on a cluster. */
const powers: Readonly<Record<string, number>> = { "": 0, k: 1, m: 2, g: 3, t: 4 };

/** Bytes, or undefined when `text` is not a size: `4G`, `512MiB`, `100`. Inverse of {@link formatSize} up to rounding. */
export function parseSize(text: string): number | undefined {
	const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text.trim());
	if (!match) return undefined;
	return Math.round(Number(match[1]) * 1024 ** (powers[(match[2] ?? "").toLowerCase()] ?? 0));
}

/** `812 B`, `3.4 KiB`, `2 GiB`. Inverse of {@link parseSize} up to rounding. */
export function formatSize(bytes: number): string {
	let value = bytes;
	for (const unit of ["B", "KiB", "MiB", "GiB"]) {
		if (value < 1024) return `${Number(value.toFixed(value < 10 && unit !== "B" ? 1 : 0))} ${unit}`;
		value /= 1024;
	}
	return `${Number(value.toFixed(1))} TiB`;
}
