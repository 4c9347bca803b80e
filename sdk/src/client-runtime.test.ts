import { expect, test } from "vitest";
import own from "../package.json" with { type: "json" };
import { clientRuntime } from "./client-runtime.ts";

test("GC-9: a client says its own version and what it runs on", () => {
	expect(clientRuntime()).toEqual({
		errand_sdk_version: own.version,
		node_version: process.versions.node,
		platform: { system: process.platform, machine: process.arch },
	});
});
