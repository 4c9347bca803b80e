/**
 * Files of amqplib that its `exports` map does not name, loaded by path. That is a private door: the version in
 * package.json is exact, and this file refuses to load another one, so that an update is a decision (run this folder's
 * tests, then change `pinnedVersion`).
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const pinnedVersion = "2.3.1";

/** `file`: in amqplib's `lib`. Throws when another version is installed. */
export function amqplibInternals(file: string): unknown {
	const require = createRequire(import.meta.url);
	const directory = dirname(require.resolve("amqplib"));
	const { version } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as { version: string };
	if (version !== pinnedVersion)
		throw new Error(
			`this cloud was checked against amqplib ${pinnedVersion}, and ${version} is installed; ` +
				"install the exact version, or check the new one and change amqplib-internals.ts",
		);
	return require(join(directory, "lib", file));
}
