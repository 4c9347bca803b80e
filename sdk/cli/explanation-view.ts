/** Why a task waits, as rows for a person. */
import type { Explanation } from "@errand/proto/rest";
import type { Screen } from "./screen.ts";

export function explanationPairs(
	{ word, sentence, trouble, version_skew }: Explanation,
	screen: Screen,
): [name: string, value: string | undefined][] {
	return [
		["why", word === null ? sentence : `${screen.style("yellow", word)}  ${sentence}`],
		["trouble there", trouble ?? undefined],
		["versions", version_skew ?? undefined],
	];
}
