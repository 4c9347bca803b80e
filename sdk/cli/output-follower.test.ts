import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { parseId, type TaskGroupId, type TaskId } from "@errand/proto";
import type { StreamFrame } from "@errand/proto/rest";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import { Client } from "../src/index.ts";
import { ids } from "./fake-cloud.test-harness.ts";
import { followOutput } from "./output-follower.ts";

const task = parseId<TaskId>(ids.running) as TaskId;
const group = parseId<TaskGroupId>(ids.group) as TaskGroupId;
/** As if nothing but the stream could end it. */
const forever = (_ms: number, sooner?: Promise<void>): Promise<void> => sooner ?? new Promise(() => undefined);

let server: WebSocketServer;
/** What the cloud has kept of the task's stdout. */
let kept: string;
let ended: boolean;
let client: Client;

/** A client whose REST answers come from `kept`. */
class KeptOutput extends Client {
	override async taskOutput(_task: string, stream: "stdout" | "stderr", offset: number) {
		const data = stream === "stdout" ? kept.slice(offset) : "";
		return { stream, data, offset_bytes: offset, next_offset_bytes: offset + data.length, truncated: false, ended };
	}
}

beforeEach(async () => {
	server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
	await once(server, "listening");
	kept = "";
	ended = false;
	const { port } = server.address() as AddressInfo;
	client = new KeptOutput({ cloudUrl: `http://127.0.0.1:${port}`, token: "token" });
});
afterEach(async () => {
	for (const socket of server.clients) socket.terminate();
	await new Promise((resolve) => server.close(resolve));
});

/** The stream, once the command has subscribed to it with its reports. */
async function subscribed(): Promise<(frame: StreamFrame) => void> {
	const [socket] = (await once(server, "connection")) as [WebSocket];
	for (;;) {
		const [text] = (await once(socket, "message")) as [Buffer];
		const request = JSON.parse(String(text)) as { also?: string[] };
		if (request.also?.includes("output")) break;
	}
	const tell = (frame: StreamFrame): void => socket.send(JSON.stringify(frame));
	tell({ type: "subscribed", group: ids.group, cursor: "0" });
	return tell;
}

const output = (data: string, offset: number): StreamFrame => ({
	type: "output",
	group: ids.group,
	task_id: task,
	stream: "stdout",
	offset_bytes: offset,
	data,
	size_bytes: data.length,
	truncated: false,
});

const result = (): StreamFrame => ({
	type: "results",
	group: ids.group,
	cursor: "1",
	results: [{ task_id: task, state: "success", stdout_bytes: 8, stderr_bytes: 0 }],
});

describe("output that is followed", () => {
	test("NEW-2: comes from the stream as it is told, without asking again", async () => {
		const lines = followOutput({ pause: forever }, client, task, { follow: group });
		const first = lines.next();
		const tell = await subscribed();
		tell(output("one\n", 0));
		expect((await first).value).toMatchObject({ data: "one\n", stream: "stdout" });
		const second = lines.next();
		tell(output("two\n", 4));
		expect((await second).value).toMatchObject({ data: "two\n" });
		const end = lines.next();
		kept = "one\ntwo\n";
		ended = true;
		tell(result());
		expect((await end).done).toBe(true);
	});

	test("a gap is filled from what is kept, and nothing comes twice", async () => {
		const lines = followOutput({ pause: forever }, client, task, { follow: group });
		const first = lines.next();
		const tell = await subscribed();
		kept = "one\ntwo\nthree\n";
		tell(output("three\n", 8));
		expect((await first).value).toMatchObject({ data: "one\ntwo\nthree\n" });
		const second = lines.next();
		tell(output("three\n", 8));
		tell(output("four\n", 14));
		expect((await second).value).toMatchObject({ data: "four\n" });
		await lines.return(undefined);
	});

	test("without following, what there is comes at once and ends", async () => {
		kept = "all\n";
		const seen = [];
		for await (const line of followOutput({ pause: forever }, client, task, {})) seen.push(line.data);
		expect(seen).toEqual(["all\n"]);
	});
});
