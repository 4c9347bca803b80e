/**
 * `node test/load/transfers.ts [--megabytes 4096] [--files 20000] [--rounds 3] [--json FILE]`: one large file and many small
 * ones, by every way that there is, beside cp, rsync and rclone on the same paths. Compare rows of one run: each round does
 * all of them, one after the other.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { mkdtemp, writeFile } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Client } from "@errand/sdk";
import { TestCloud } from "../harness/cloud.ts";
import { ensureDebianPackages } from "../harness/debian.ts";
import { TestEndpoint } from "../harness/endpoint.ts";
import { startSshd } from "../harness/sshd.ts";
import { median } from "./figures.ts";

const { values: options } = parseArgs({
	options: {
		megabytes: { type: "string", default: "4096" },
		files: { type: "string", default: "20000" },
		rounds: { type: "string", default: "3" },
		json: { type: "string" },
	},
});
const [megabytes, files, rounds] = [Number(options.megabytes), Number(options.files), Number(options.rounds)];
const smallBytes = 10_000;

async function run(program: string, ...words: string[]): Promise<void> {
	const child = spawn(program, words, { stdio: ["ignore", "ignore", "pipe"] });
	let said = "";
	child.stderr.on("data", (text) => (said += String(text)));
	const [code] = (await once(child, "close")) as [number];
	if (code !== 0) throw new Error(`${program} ${words.join(" ")} ended with ${code}: ${said.slice(-1000)}`);
}

await ensureDebianPackages(["rsync", "rclone", "openssh-server", "openssh-client"]);
await using stack = new AsyncDisposableStack();
const place = await mkdtemp(join(tmpdir(), "errand-load-"));
stack.defer(() => rmSync(place, { recursive: true, force: true }));
const [from, to] = [join(place, "from"), join(place, "to")];

/** No two blocks are alike, so that nothing can be left out. */
function makeFiles(): void {
	const block = new Uint32Array(256 * 1024);
	for (let n = 0; n < block.length; n++) block[n] = Math.imul(n + 1, 2_654_435_761);
	const bytes = Buffer.from(block.buffer);
	mkdirSync(join(from, "many"), { recursive: true });
	mkdirSync(to);
	const large = openSync(join(from, "large"), "w");
	for (let n = 0; n < megabytes; n++) {
		block[0] = n;
		writeSync(large, bytes);
	}
	closeSync(large);
	for (let n = 0; n < files; n++) {
		const folder = join(from, "many", `d${n % 20}`);
		mkdirSync(folder, { recursive: true });
		block[0] = n;
		writeFileSync(join(folder, `f${n}`), bytes.subarray(0, smallBytes));
	}
}

async function openEnd(
	cloud: TestCloud,
	client: Client,
	name: string,
	path: string,
	settings: string,
): Promise<string> {
	const config = `init_blocks: 0\ncollections: { data: ${path} }\n${settings}`;
	const endpoint = await TestEndpoint.start(cloud, client, { name, config });
	stack.defer(() => endpoint.stop());
	await endpoint.process.line("transfer: the agent is running");
	return endpoint.id;
}

const cloud = await TestCloud.start();
stack.defer(() => cloud.stop());
const { client } = await cloud.login("bench");
makeFiles();
const open = "transfer_port: 0\ntransfer_host: 127.0.0.1\ntransfer_addresses: [127.0.0.1]\n";
const source = await openEnd(cloud, client, "source", from, open);
const destination = await openEnd(cloud, client, "destination", to, "");
const sshd = await startSshd();
stack.defer(() => sshd.stop());
const sshConfig = join(place, "ssh");
await writeFile(sshConfig, sshd.clientConfig);
const setting = (name: string): string =>
	new RegExp(`^\\s${name} (.*)$`, "m").exec(sshd.clientConfig.split("Host *")[1] ?? "")?.[1] ?? "";

async function errand(
	what: string,
	more: { route?: "direct" | "relay"; verify?: "off" | "wire" | "disk" },
): Promise<void> {
	const item = { source_path: `/data/${what}`, destination_path: "/data/copy", recursive: what === "many" };
	const asked = { source_endpoint: source, destination_endpoint: destination, items: [item], ...more };
	const { id } = await client.transfers.submit(asked);
	const done = await client.transfers.wait(id);
	if (done.status !== "SUCCEEDED") throw new Error(JSON.stringify(done.fatal_error));
}

const ssh = `ssh -F ${sshConfig}`;
const sftp = [
	...["--config", "/dev/null", "--sftp-host", "127.0.0.1", "--sftp-port", setting("Port")],
	...["--sftp-user", setting("User"), "--sftp-key-file", setting("IdentityFile")],
];
/** Each with a trailing slash where a directory's content is meant. */
const ways: Readonly<Record<string, (what: string) => Promise<void>>> = {
	cp: (what) => run("cp", "-r", join(from, what), join(to, "copy")),
	"rsync, local": (what) => run("rsync", "-r", join(from, what) + (what === "many" ? "/" : ""), join(to, "copy")),
	"rsync over ssh": (what) =>
		run("rsync", "-r", "-e", ssh, join(from, what) + (what === "many" ? "/" : ""), `server:${join(to, "copy")}`),
	"rclone, SFTP": (what) =>
		what === "many"
			? run("rclone", "copy", join(from, what), `:sftp:${join(to, "copy")}`, ...sftp)
			: run("rclone", "copyto", join(from, what), `:sftp:${join(to, "copy")}`, ...sftp),
	"errand, direct": (what) => errand(what, { route: "direct" }),
	"errand, direct, not verified": (what) => errand(what, { route: "direct", verify: "off" }),
	"errand, direct, read again": (what) => errand(what, { route: "direct", verify: "disk" }),
	"errand, relay": (what) => errand(what, { route: "relay" }),
};

const took = new Map<string, Record<"large" | "many", number[]>>();
for (let round = 0; round < rounds; round++)
	for (const what of ["large", "many"] as const)
		for (const [name, move] of Object.entries(ways)) {
			const began = performance.now();
			await move(what);
			const ms = performance.now() - began;
			rmSync(join(to, "copy"), { recursive: true, force: true });
			const row = took.get(name) ?? { large: [], many: [] };
			took.set(name, row);
			row[what].push(ms);
			process.stderr.write(`${round + 1}  ${what}  ${name}  ${(ms / 1000).toFixed(2)} s\n`);
		}

const rows = [...took].map(([name, { large, many }]) => ({
	name,
	largeMegabytesPerS: Math.round((megabytes / median(large)) * 1000),
	manyFilesPerS: Math.round((files / median(many)) * 1000),
}));
console.log(
	`${cpus().length} cores (${cpus()[0]?.model.trim()}), load ${loadavg()[0]?.toFixed(1)}; ${megabytes} MiB, ${files} × ${smallBytes} bytes; medians of ${rounds}\n`,
);
console.log("| way | MiB/s, one file | files/s, many |\n| --- | ---: | ---: |");
for (const row of rows) console.log(`| ${row.name} | ${row.largeMegabytesPerS} | ${row.manyFilesPerS} |`);
if (options.json)
	writeFileSync(options.json, `${JSON.stringify({ tookMs: Object.fromEntries(took), rows }, null, "\t")}\n`);
