import {
	closeSync,
	linkSync,
	mkdirSync,
	mkdtempSync,
	readFileSync,
	renameSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DataRoot, placeOf } from "./data-root.ts";
import { finishPart, preparePart, writeChunk } from "./destination-jobs.ts";
import { FileFault } from "./file-fault.ts";
import { readPack } from "./source-jobs.ts";

let place: string;
let root: DataRoot;
beforeEach(() => {
	place = mkdtempSync(join(tmpdir(), "errand-root-"));
	mkdirSync(join(place, "root/inner"), { recursive: true });
	mkdirSync(join(place, "outside"));
	writeFileSync(join(place, "outside/secret"), "secret");
	writeFileSync(join(place, "root/inner/file"), "open");
	root = new DataRoot(join(place, "root"));
});
afterEach(() => rmSync(place, { recursive: true, force: true }));

function faultOf(work: () => unknown): string {
	try {
		work();
	} catch (error) {
		if (error instanceof FileFault) return error.code;
		throw error;
	}
	return "none";
}

test("a path that goes up is refused, wherever it leads", () => {
	for (const path of ["..", "../outside/secret", "inner/../../outside/secret", "inner/../inner/file", "a\0b"])
		expect(
			faultOf(() => root.openFile(path)),
			path,
		).toBe("PATH_OUTSIDE_COLLECTION");
});

test("a link is followed inside and refused when it leads out", () => {
	symlinkSync("inner", join(place, "root/same"));
	symlinkSync("../outside", join(place, "root/out"));
	symlinkSync("inner/file", join(place, "root/alias"));
	symlinkSync(join(place, "outside/secret"), join(place, "root/inner/leak"));
	for (const path of ["same/file", "alias"]) {
		const { fd } = root.openFile(path);
		expect(readFileSync(fd, "utf8")).toBe("open");
		closeSync(fd);
	}
	for (const path of ["out/secret", "inner/leak"])
		expect(
			faultOf(() => root.openFile(path)),
			path,
		).toBe("PATH_OUTSIDE_COLLECTION");
	expect(faultOf(() => root.openDirectory("out/new", { create: true }))).toBe("PATH_OUTSIDE_COLLECTION");
});

test("a link to nothing is not made into what it stands for", () => {
	symlinkSync(join(place, "outside/new"), join(place, "root/dangling"));
	expect(faultOf(() => root.openDirectory("dangling/x", { create: true }))).not.toBe("none");
	expect(faultOf(() => preparePart({ root: join(place, "root"), path: "dangling/x", part: "p", size: 1 }))).not.toBe(
		"none",
	);
});

test("what is no regular file is not read, and does not hold anybody up", async () => {
	const { execFileSync } = await import("node:child_process");
	execFileSync("mkfifo", [join(place, "root/pipe")]);
	expect(faultOf(() => root.openFile("pipe"))).toBe("NOT_A_FILE");
	expect(faultOf(() => root.openFile("inner"))).toBe("NOT_A_FILE");
	expect(faultOf(() => root.openFile("nothing"))).toBe("FILE_NOT_FOUND");
});

test("a directory that is held is that directory, whatever takes its name", () => {
	using held = root.openDirectory("inner");
	renameSync(join(place, "root/inner"), join(place, "root/moved"));
	symlinkSync(join(place, "outside"), join(place, "root/inner"));
	expect(placeOf(held)).toBe(join(place, "root/moved"));
	linkSync(`${held.path}/file`, `${held.path}/second`);
	expect(readFileSync(join(place, "root/moved/second"), "utf8")).toBe("open");
});

test("a directory that is exchanged for a link again and again never leads out", { timeout: 20_000 }, async () => {
	// Whoever makes what is missing for a moment is in the way of the next turn: then everything is set up again.
	const script = `
		const { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } = require("node:fs");
		const { workerData: place } = require("node:worker_threads");
		const [turn, away, link] = ["turn", "away", "link"].map((name) => place + "/root/" + name);
		const tried = (work) => { try { work(); } catch {} };
		for (;;) {
			try {
				renameSync(turn, away);
				renameSync(link, turn);
				renameSync(turn, link);
				renameSync(away, turn);
			} catch {
				for (const path of [turn, away]) tried(() => rmSync(path, { recursive: true, force: true }));
				tried(() => symlinkSync(place + "/outside", link));
				tried(() => mkdirSync(turn));
				tried(() => writeFileSync(turn + "/secret", "open", { flag: "wx" }));
			}
		}`;
	mkdirSync(join(place, "root/turn"));
	writeFileSync(join(place, "root/turn/secret"), "open");
	symlinkSync(join(place, "outside"), join(place, "root/link"));
	const turning = new Worker(script, { eval: true, workerData: place });
	await new Promise((resolve) => turning.once("online", resolve));
	const version = "";
	const seen = new Set<string>();
	const at = join(place, "root");
	const endMs = Date.now() + 3_000;
	let writes = 0;
	try {
		while (Date.now() < endMs) {
			try {
				const { fd } = root.openFile("turn/secret");
				seen.add(readFileSync(fd, "utf8"));
				closeSync(fd);
			} catch (error) {
				expect(error).toBeInstanceOf(FileFault);
				seen.add((error as FileFault).code);
			}
			try {
				const part = { root: at, path: "turn/planted", part: ".errand-00000000-1.part" };
				preparePart({ ...part, size: 1 });
				writeChunk({ ...part, offset: 0, bytes: new Uint8Array(1), digest: null });
				finishPart({ ...part, size: 1, dress: { mode: 0o600 } });
				writes++;
			} catch (error) {
				expect(error).toBeInstanceOf(FileFault);
			}
			readPack({ root: at, files: [{ path: "turn/secret", version }], digest: false });
		}
	} finally {
		await turning.terminate();
	}
	// The way was open, the way was closed, and never the other one.
	expect(seen).toContain("open");
	expect(seen.size).toBeGreaterThan(1);
	expect(seen).not.toContain("secret");
	expect(writes).toBeGreaterThan(0);
	const { readdirSync } = await import("node:fs");
	expect(readdirSync(join(place, "outside"))).toEqual(["secret"]);
});
