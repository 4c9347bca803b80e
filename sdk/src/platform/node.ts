/** Node: tokens from `errand login`, `ws` with an Authorization header, files, esbuild. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import type { Socket as TcpSocket } from "node:net";
import { basename, dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { WebSocket } from "ws";
import { fileTokenSource } from "../auth/credential-store.ts";
import { deviceLogin, logout } from "../auth/device-login.ts";
import { staticTokenSource, type TokenSource } from "../auth/token-source.ts";
import { CaptureError, CloudError } from "../errors.ts";
import type { Platform } from "./platform.ts";

/** A connection that has not answered a ping for this long is dead, whatever the kernel still believes. */
const pingIntervalMs = 20_000;
/** One frame holds at most 100 results of the inline limit. */
const frameLimitBytes = 64 * 1024 * 1024;

function pathOf(file: string): string {
	return file.startsWith("file:") ? fileURLToPath(file) : file;
}

/** esbuild is large: it is loaded when something is bundled, and not before. */
async function build(file: string): Promise<string> {
	const esbuild = await import("esbuild");
	const result = await esbuild.build({
		entryPoints: [file],
		bundle: true,
		write: false,
		platform: "node",
		format: "esm",
		target: "node20",
		legalComments: "none",
		logLevel: "silent",
		// A bundled CommonJS package still calls require for the runtime's own modules.
		banner: {
			js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(process.cwd() + "/");',
		},
	});
	return result.outputFiles[0]?.text ?? "";
}

export const platform: Platform = {
	runtime: () => ({
		node_version: process.versions.node,
		platform: { system: process.platform, machine: process.arch },
	}),

	defaultCloudUrl: () => process.env.ERRAND_CLOUD_URL ?? "http://localhost:5000",

	storedTokens(cloudUrl): TokenSource {
		const token = process.env.ERRAND_TOKEN;
		if (token !== undefined && token !== "") return staticTokenSource(cloudUrl ?? platform.defaultCloudUrl(), token);
		const given = cloudUrl ?? process.env.ERRAND_CLOUD_URL;
		const stored = fileTokenSource(given === undefined ? {} : { cloudUrl: given });
		if (stored !== undefined) return stored;
		const where = given === undefined ? "" : ` at ${given}`;
		throw new CloudError(
			"USER_UNAUTHENTICATED",
			`nobody is logged in${where}: run errand login, set ERRAND_TOKEN, or give a token`,
			{ httpStatus: 401 },
		);
	},

	deviceLogin,
	logout,

	openSocket(url, accessToken, listener) {
		const socket = new WebSocket(url, {
			headers: { authorization: `Bearer ${accessToken}` },
			perMessageDeflate: false,
			maxPayload: frameLimitBytes,
			handshakeTimeout: 15_000,
		});
		let tcp: TcpSocket | undefined;
		let hold = true;
		let alive = true;
		let closed = false;
		const pinger = setInterval(() => {
			if (!alive) return socket.terminate();
			alive = false;
			if (socket.readyState === WebSocket.OPEN) socket.ping();
		}, pingIntervalMs);
		pinger.unref();
		const end = (code: number, reason: string): void => {
			clearInterval(pinger);
			if (closed) return;
			closed = true;
			listener.onClose(code, reason);
		};
		let trouble = "";
		socket.on("upgrade", (response) => {
			tcp = response.socket;
			tcp.setNoDelay(true);
			if (!hold) tcp.unref();
		});
		socket.on("open", () => listener.onOpen());
		socket.on("pong", () => {
			alive = true;
		});
		socket.on("message", (data, isBinary) => {
			alive = true;
			if (!isBinary) listener.onText(data.toString());
		});
		socket.on("error", (error) => {
			trouble = error.message;
		});
		socket.on("unexpected-response", (request, response) => {
			// The same meanings as the stream's own close codes.
			const code = response.statusCode === 401 ? 4401 : response.statusCode === 403 ? 4403 : 1006;
			response.resume();
			request.destroy();
			end(code, `HTTP ${response.statusCode}`);
		});
		socket.on("close", (code, reason) => end(code, reason.toString() || trouble));
		return {
			send: (text) => {
				if (socket.readyState === WebSocket.OPEN) socket.send(text);
			},
			close: () => {
				clearInterval(pinger);
				if (socket.readyState === WebSocket.CONNECTING) socket.terminate();
				else socket.close(1000);
			},
			holdProcess: (on) => {
				hold = on;
				if (on) tcp?.ref();
				else tcp?.unref();
			},
		};
	},

	async bundle({ file, name }) {
		const path = pathOf(file);
		try {
			return await build(path);
		} catch (cause) {
			const first = (cause as { errors?: { text: string; location: { file: string; line: number } | null }[] })
				.errors?.[0];
			const where = first?.location ? `${first.location.file}:${first.location.line}: ` : "";
			const what = first?.text ?? (cause as Error).message;
			throw new CaptureError(`${basename(path)} with "${name}" cannot be bundled: ${where}${what}`, [], cause);
		}
	},

	stripTypes(source) {
		const esbuild = createRequire(import.meta.url)("esbuild") as typeof import("esbuild");
		return esbuild.transformSync(source, { loader: "ts", target: "esnext", logLevel: "silent" }).code;
	},

	async readSource(file) {
		const path = pathOf(file);
		try {
			return await readFile(path, "utf8");
		} catch (cause) {
			const code = (cause as NodeJS.ErrnoException).code ?? "unknown error";
			throw new CaptureError(`${basename(path)} in ${dirname(path)} cannot be read: ${code}`, [], cause);
		}
	},
};
