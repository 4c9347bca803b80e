/** What of a tree is wanted: the first rule that fits decides; what none fits is. */
import { matchesGlob } from "node:path";
import type { FilterRule } from "@errand/proto/rest";

export function isWanted(rules: readonly FilterRule[], type: "file" | "dir", name: string): boolean {
	const rule = rules.find((one) => (one.type === undefined || one.type === type) && matchesGlob(name, one.name));
	return rule?.method !== "exclude";
}
