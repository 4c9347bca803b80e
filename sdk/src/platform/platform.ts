/**
 * The port to what Node and the browser do differently: tokens at rest, WebSockets with headers, files, bundling.
 * `#platform` in package.json chooses `node.ts` or `browser.ts`.
 */
import type { DeviceLoginRequest } from "../auth/device-flow.ts";
import type { TokenSource } from "../auth/token-source.ts";

/** What is told about one WebSocket. After `onClose` nothing more is told. */
interface SocketListener {
	onOpen(): void;
	onText(text: string): void;
	/** `code` 1006: it never opened, or it was cut. */
	onClose(code: number, reason: string): void;
}

/** One WebSocket, opening or open. */
export interface Socket {
	send(text: string): void;
	/** Ends it; `onClose` may or may not follow. May be repeated. */
	close(): void;
	/** Whether this connection alone keeps the process alive. */
	holdProcess(hold: boolean): void;
}

interface BundleRequest {
	/** A path, or a `file:` URL. */
	file: string;
	/** The export that must be there. */
	name: string;
}

export interface LoginOptions extends DeviceLoginRequest {
	/** Where logins are stored: `$ERRAND_HOME`, else `~/.errand`, unless told. */
	directory?: string;
}

export interface LogoutOptions {
	directory?: string;
	/** The current one unless told. */
	cloudUrl?: string;
}

export interface Platform {
	/** What this program runs on, for templates of endpoints. */
	runtime(): Record<string, unknown>;
	/** The cloud to use when nobody said which. */
	defaultCloudUrl(): string;
	/** What `errand login` stored for this cloud (or the current one). Refuses where there is no such place. */
	storedTokens(cloudUrl: string | undefined): TokenSource;
	/** Logs a person in by the device flow, and stores the login. Refuses where there is no such place. */
	deviceLogin(options: LoginOptions): Promise<{ cloudUrl: string }>;
	/** Ends a stored login; undefined when there was none. */
	logout(options?: LogoutOptions): Promise<string | undefined>;
	openSocket(url: string, accessToken: string, listener: SocketListener): Socket;
	/** A module with everything it imports but the runtime's own, as one ES module. Rejects with a CaptureError. */
	bundle(request: BundleRequest): Promise<string>;
	/** JavaScript from TypeScript; throws when it is neither. */
	stripTypes(source: string): string;
	/** The text of a file. Rejects with a CaptureError. */
	readSource(file: string): Promise<string>;
}
