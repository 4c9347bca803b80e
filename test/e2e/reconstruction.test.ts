/** A flow of the examples on real parts: files move between two daemons, and a tomography is computed between the moves. */
import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Client, python } from "@errand/sdk";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { TestCloud } from "../harness/cloud.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import { type PythonEnvironment, pythonEnvironment } from "../harness/python.ts";

const run = promisify(execFile);
const examples = fileURLToPath(new URL("../../sdk/examples/", import.meta.url));
const steps = ["describe", "reconstruct", "plot", "publish"] as const;
const listens = "transfer_port: 0\ntransfer_host: 127.0.0.1\ntransfer_addresses: [127.0.0.1]\n";

let environment: PythonEnvironment;
let cloud: TestCloud;
let client: Client;
const ends: TestEndpoint[] = [];

beforeAll(async () => {
	environment = await pythonEnvironment(["numpy==2.4.6"]);
	cloud = await TestCloud.start();
	({ client } = await cloud.login("ada"));
}, 240_000);
afterAll(async () => {
	for (const endpoint of ends) await endpoint.stop();
	await cloud?.stop();
	await environment?.remove();
}, 60_000);

/** Runs a line of Python with the examples' modules, and gives back what it prints as JSON. */
async function compute(line: string, ...words: string[]): Promise<unknown> {
	const program = `import json, sys\nsys.path.insert(0, ${JSON.stringify(examples)})\n${line}`;
	const { stdout } = await run(environment.python, ["-B", "-c", program, ...words]);
	return stdout === "" ? undefined : JSON.parse(stdout);
}

async function openEnd(name: string): Promise<{ id: string; root: string }> {
	const root = join(cloud.home, name);
	mkdirSync(root);
	const config = `workers_per_node: 2\npython: ${environment.python}\ncollections: { data: ${root} }\n${listens}`;
	const endpoint = await TestEndpoint.start(cloud, client, { name, config });
	ends.push(endpoint);
	await endpoint.process.line("transfer: the agent is running");
	return { id: endpoint.id, root };
}

test("GC-8, DEP-2: a scan is moved, reconstructed slice by slice, plotted, and its results are moved back and published", {
	timeout: 120_000,
}, async () => {
	const [beamline, cluster] = [await openEnd("beamline"), await openEnd("cluster")];
	await compute("import tomography\ntomography.acquire(sys.argv[1])", join(beamline.root, "scan7", "raw.npz"));

	const functions: Record<string, string> = {};
	for (const name of steps) {
		const { code } = python({ file: join(examples, "tomography.py"), name });
		functions[name] = await client.registerFunction({ function_name: name, function_code: await code() });
	}
	const { id } = await client.flows.create(parse(readFileSync(join(examples, "flows/reconstruction.yaml"), "utf8")));
	const place = ({ id: endpoint }: { id: string }) => ({
		endpoint,
		path: "/data/scan7",
		folder: "$ERRAND_COLLECTION_DATA/scan7",
	});
	const body = { beamline: place(beamline), cluster: place(cluster), functions };
	const { run_id } = await client.flows.start(id, { body });
	await expect
		.poll(async () => (await client.flows.getRun(run_id)).status, { timeout: 90_000, interval: 100 })
		.not.toBe("ACTIVE");
	expect((await client.flows.getRun(run_id)).details).toMatchObject({ code: "FlowSucceeded" });

	const results = join(beamline.root, "scan7", "result");
	expect(readFileSync(join(results, "slices.png")).subarray(1, 4).toString()).toBe("PNG");
	const record = JSON.parse(readFileSync(join(results, "record.json"), "utf8"));
	expect(Object.keys(record.files)).toEqual([...[0, 1, 2, 3].map((n) => `slice-000${n}.npy`), "slices.png"]);
	// The record is made where the results came back to: what it counts is what was sent.
	expect(existsSync(join(cluster.root, "scan7", "result", "record.json"))).toBe(false);
	// What was scanned is known: a slice and its reconstruction go together.
	const together = await compute(
		"import numpy as np, tomography\n" +
			"print(json.dumps(np.corrcoef(np.load(sys.argv[1]).ravel(), tomography.phantom(64, 1 - 0.4 / 3).ravel())[0, 1]))",
		join(results, "slice-0001.npy"),
	);
	expect(together).toBeGreaterThan(0.85);

	// Each step's hand-over is there to be read: which file went where, and with how many bytes.
	const log = (await client.flows.runLog(run_id, { limit: 100 })).entries.map((entry) => entry.code);
	expect(log.at(-1)).toBe("FlowSucceeded");
	const moved = (await client.transfers.list({ limit: 5 })).items;
	expect(moved.map(({ status, used_route }) => [status, used_route])).toEqual([
		["SUCCEEDED", "direct"],
		["SUCCEEDED", "direct"],
	]);
});

test("a flow whose transfer cannot begin says which collection there is not, and one that fails says why", async () => {
	const store = await openEnd("store");
	const at = (path: string) => ({ source_path: path, destination_path: "/data/copy" });
	const definition = {
		StartAt: "Move",
		States: {
			Move: {
				Type: "Action",
				ActionUrl: "errand:transfer",
				Parameters: { "source_endpoint.$": "$.end", "destination_endpoint.$": "$.end", "DATA.$": "$.files" },
				WaitTime: 60,
				ExceptionOnActionFailure: true,
				End: true,
			},
		},
	};
	const flow = await client.flows.create({ title: "move", definition: definition as never });
	const outcome = async (path: string) => {
		const { run_id } = await client.flows.start(flow.id, { body: { end: store.id, files: [at(path)] } });
		await expect
			.poll(async () => (await client.flows.getRun(run_id)).status, { timeout: 30_000, interval: 50 })
			.toBe("FAILED");
		return JSON.stringify((await client.flows.getRun(run_id)).details);
	};
	expect(await outcome("/other/file")).toContain("has no collection other; it has: data");
	expect(await outcome("/data/missing")).toContain("FILE_NOT_FOUND");
}, 60_000);

test("the other examples compute what is known of them", async () => {
	const folder = join(cloud.home, "computed");
	const [integral, merged, events] = (await compute(
		`import muon_pairs as m
d = sys.argv[1]
integral = m.integrate(d + "/grid/grid.json", energy_gev=91.1876)
for rank in range(4):
    m.generate(d + "/grid/grid.json", d + "/events", 20000, 7, rank)
print(json.dumps([integral, m.merge(d + "/events", d + "/merged.npz"), m.unweight(d + "/merged.npz", d + "/events.npz")]))`,
		folder,
	)) as [Record<string, number>, Record<string, number>, Record<string, number>];
	const error = Math.hypot(integral.error_pb as number, merged.error_pb as number);
	expect(Math.abs((integral.cross_section_pb as number) - (merged.cross_section_pb as number))).toBeLessThan(5 * error);
	expect(merged).toMatchObject({ files: 4, events: 80_000 });
	expect(events.efficiency).toBeGreaterThan(0.3);

	const fits = (await compute(
		`import equilibrium as e
e.pulse(sys.argv[1] + "/shots/5.json", 5)
print(json.dumps([e.reconstruct(sys.argv[1] + "/shots/5.json", sys.argv[1] + "/shots/5.npz", n) for n in (32, 128)]))`,
		folder,
	)) as Record<string, number>[];
	// The pulse was made with these two, on a finer grid.
	for (const fit of fits) {
		expect(Math.abs((fit.pressure_gradient as number) / -4e5 - 1)).toBeLessThan(0.02);
		expect(Math.abs((fit.current_gradient as number) / -0.6 - 1)).toBeLessThan(0.02);
	}
}, 60_000);
