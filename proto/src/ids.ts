/**
 * Ids are UUIDs in lower-case canonical form wherever people or JSON see them, and their 16 bytes on the wire.
 * The brands keep a task's id from being passed where a group's is meant; they cost nothing at run time.
 */
declare const brand: unique symbol;
type Id<Name extends string> = string & { readonly [brand]: Name };

export type TaskId = Id<"task">;
export type TaskGroupId = Id<"task-group">;
export type FunctionId = Id<"function">;
export type EndpointId = Id<"endpoint">;
export type AccountId = Id<"account">;
/** A group of accounts. */
export type AccountGroupId = Id<"account-group">;
/** One invitation to an endpoint, of an account or a group. */
export type ShareId = Id<"share">;
export type FlowId = Id<"flow">;
/** One execution of a flow. */
export type RunId = Id<"run">;
export type TransferId = Id<"transfer">;
/** What an endpoint asks of the login of whoever submits there. */
export type AuthPolicyId = Id<"auth-policy">;
/** What authentication policies belong to. */
export type AuthProjectId = Id<"auth-project">;

const CANONICAL = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The id, or undefined when `text` is not a UUID. Upper case is accepted and lowered, as the public interface does. */
export function parseId<T extends Id<string>>(text: string): T | undefined {
	const lower = text.toLowerCase();
	return CANONICAL.test(lower) ? (lower as T) : undefined;
}

/** A random (version 4) id. */
export function newId<T extends Id<string>>(): T {
	return globalThis.crypto.randomUUID() as unknown as T;
}

const HEX: string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** 16 bytes → canonical text. Inverse of {@link idToBytes}. */
export function idFromBytes<T extends Id<string>>(b: Uint8Array): T {
	if (b.length !== 16) throw new RangeError(`an id has 16 bytes, this has ${b.length}`);
	const h = HEX;
	const at = (i: number): string => h[b[i] as number] as string;
	return (at(0) +
		at(1) +
		at(2) +
		at(3) +
		"-" +
		at(4) +
		at(5) +
		"-" +
		at(6) +
		at(7) +
		"-" +
		at(8) +
		at(9) +
		"-" +
		at(10) +
		at(11) +
		at(12) +
		at(13) +
		at(14) +
		at(15)) as T;
}

function nibble(code: number): number {
	return code < 58 ? code - 48 : (code | 32) - 87;
}

/** Canonical text → 16 bytes. Inverse of {@link idFromBytes}. The text must come from {@link parseId} or the database. */
export function idToBytes(id: string): Uint8Array<ArrayBuffer> {
	const bytes = new Uint8Array(16);
	let at = 0;
	for (let i = 0; i < 36; i++) {
		if (i === 8 || i === 13 || i === 18 || i === 23) continue;
		bytes[at++] = (nibble(id.charCodeAt(i)) << 4) | nibble(id.charCodeAt(++i));
	}
	return bytes;
}
