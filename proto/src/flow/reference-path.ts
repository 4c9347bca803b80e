/** `$.a.b[0]`, parsed. `[]` is `$`, the whole state. Strings are keys of objects; numbers are places in lists, from the end when negative. */
export type ReferencePath = readonly (string | number)[];
