/** How large a value is as JSON, without writing it: the same object in many places counts in each. */
import { flowLimitDepth } from "./flow-limits.ts";
import { isJsonList, isJsonObject, type Json } from "./json.ts";

/** What is too much of a value: its size, its depth, or nothing (undefined). Looks no further than the limit. */
export function sizeObstacle(value: Json, limitBytes: number): string | undefined {
	let bytes = 0;
	const deep = `more than ${flowLimitDepth} lists and objects in one another`;
	const large = `more than ${limitBytes} bytes as JSON`;
	const walk = (part: Json, depth: number): string | undefined => {
		if (depth > flowLimitDepth) return deep;
		if (typeof part === "string") bytes += textBytes(part);
		else if (isJsonList(part)) {
			bytes += 2;
			for (const item of part) {
				bytes += 1;
				const obstacle = walk(item, depth + 1);
				if (obstacle !== undefined) return obstacle;
			}
		} else if (isJsonObject(part)) {
			bytes += 2;
			for (const key of Object.keys(part)) {
				bytes += textBytes(key) + 2;
				const obstacle = walk(part[key] as Json, depth + 1);
				if (obstacle !== undefined) return obstacle;
			}
		} else bytes += String(part).length;
		return bytes > limitBytes ? large : undefined;
	};
	return walk(value, 0);
}

/** In UTF-8 with its quotes; escapes count as one. */
function textBytes(text: string): number {
	return new TextEncoder().encode(text).length + 2;
}
