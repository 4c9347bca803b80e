/** Topic patterns: words parted by dots, `*` for exactly one word, `#` for any number of them. */
export function topicMatches(pattern: readonly string[], words: readonly string[]): boolean {
	// The two-pointer match of globs: on a mismatch go back to the last `#` and let it take one word more.
	let at = 0;
	let word = 0;
	let hash = -1;
	let hashWord = 0;
	while (word < words.length) {
		if (at < pattern.length && pattern[at] === "#") {
			hash = at++;
			hashWord = word;
		} else if (at < pattern.length && (pattern[at] === "*" || pattern[at] === words[word])) {
			at++;
			word++;
		} else if (hash >= 0) {
			at = hash + 1;
			word = ++hashWord;
		} else return false;
	}
	while (pattern[at] === "#") at++;
	return at === pattern.length;
}
