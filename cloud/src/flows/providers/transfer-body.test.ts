import type { Json } from "@errand/proto/flow";
import { describe, expect, test } from "vitest";
import { readTransferBody } from "./transfer-body.ts";

const [here, there] = ["11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"];
const item = { source_path: "/data/a", destination_path: "/data/b", recursive: true };
const read = (body: { [key: string]: Json }) => readTransferBody(body, "run 1");

describe("the body of a transfer action", () => {
	test("is a transfer's document, or what the version before took", () => {
		const both = {
			source_endpoint: here,
			destination_endpoint: there,
			items: [item],
			label: "run 1",
			verify: "wire",
		};
		expect(read({ source_endpoint: here, destination_endpoint: there, DATA: [item] })).toMatchObject(both);
		expect(read({ source_endpoint_id: here, destination_endpoint_id: there, transfer_items: [item] })).toMatchObject(
			both,
		);
	});

	test("may hold everything that the public interface's documents hold", () => {
		const body = {
			DATA_TYPE: "transfer",
			submission_id: "",
			source_endpoint: here,
			destination_endpoint: there,
			DATA: [{ DATA_TYPE: "transfer_item", ...item }],
			label: "mine",
			sync_level: "checksum",
			verify_checksum: false,
			encrypt_data: true,
			notify_on_succeeded: false,
			fail_on_quota_errors: true,
			filter_rules: [{ DATA_TYPE: "filter_rule", method: "exclude", type: "file", name: "*.tmp" }],
			deadline: null,
		};
		expect(read(body)).toMatchObject({
			items: [item],
			label: "mine",
			sync_level: 3,
			verify: "off",
			filter_rules: [{ method: "exclude", type: "file", name: "*.tmp" }],
		});
	});

	test.each([
		["no items", { source_endpoint: here, destination_endpoint: there }, "items once: as DATA"],
		["items twice", { source_endpoint: here, destination_endpoint: there, DATA: [item], items: [item] }, "once"],
		["no destination", { source_endpoint: here, DATA: [item] }, "destination_endpoint"],
		["an unknown word", { source_endpoint: here, destination_endpoint: there, DATA: [item], fast: true }, "fast"],
		[
			"a path that goes up",
			{ source_endpoint: here, destination_endpoint: there, DATA: [{ ...item, source_path: "/data/../x" }] },
			"items.0.source_path",
		],
	])("with %s is refused in words", (_what, body, words) => {
		expect(() => read(body)).toThrow(words);
	});
});
