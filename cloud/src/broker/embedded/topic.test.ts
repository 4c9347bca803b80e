import fc from "fast-check";
import { expect, it } from "vitest";
import { topicMatches } from "./topic.ts";

/** The rule as it reads, without care for speed. */
function matches(pattern: readonly string[], words: readonly string[]): boolean {
	const [first, ...rest] = pattern;
	if (first === undefined) return words.length === 0;
	if (first === "#") return matches(rest, words) || (words.length > 0 && matches(pattern, words.slice(1)));
	return words.length > 0 && (first === "*" || first === words[0]) && matches(rest, words.slice(1));
}

it("a topic pattern matches as its definition says", () => {
	const word = fc.constantFrom("a", "b");
	fc.assert(
		fc.property(
			fc.array(fc.oneof(word, fc.constantFrom("*", "#")), { maxLength: 6 }),
			fc.array(word, { maxLength: 7 }),
			(pattern, words) => {
				expect(topicMatches(pattern, words)).toBe(matches(pattern, words));
			},
		),
		{ numRuns: 1000 },
	);
});
