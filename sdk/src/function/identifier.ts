/** Names that can be bound in a module. */
const reserved = new Set(
	`arguments await break case catch class const continue debugger default delete do else enum eval export extends false
finally for function if implements import in instanceof interface let new null package private protected public return
static super switch this throw true try typeof var void while with yield`.split(/\s+/),
);

export function isIdentifier(name: string): boolean {
	return /^[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*$/u.test(name) && !reserved.has(name);
}
