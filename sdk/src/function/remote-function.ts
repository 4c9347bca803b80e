/** What `submit` runs, whatever its language: a name, packed code, and how its arguments and result travel. */
import { joinBuffer, pack, type Serialization } from "@errand/proto";
import type { ResourceSpecification } from "@errand/proto/rest";

declare const signature: unique symbol;

/** Made by `module`, `python`, `shell`, and for plain functions by `submit` itself. `Args` are those of `submit`. */
export interface RemoteFunction<Args extends readonly unknown[], Result> {
	readonly [signature]?: (...args: Args) => Result;
	/** As people and listings call it. */
	readonly name: string;
	/** For people; the cloud keeps it. */
	readonly description?: string;
	/** What its tasks ask for besides what the executor says, which goes first. */
	readonly resources?: ResourceSpecification | undefined;
	/** `pack([<id>\n<content>])`; the same promise for every call. Rejects with a CaptureError. */
	code(): Promise<string>;
	/** The arguments of `submit` as packed text. Throws a SerializationError. */
	packArguments(args: readonly unknown[]): string;
	/** From the worker's value to the caller's. */
	readResult(value: unknown): Result;
}

/** The code buffer of the public interface. */
export function packCode(id: Serialization, content: string): string {
	return pack([joinBuffer(id, content)]);
}

/** The same promise for every call, made when it is first asked for; one that failed is made again. */
export function once<Value>(make: () => Promise<Value>): () => Promise<Value> {
	let made: Promise<Value> | undefined;
	return () => {
		if (made === undefined) {
			made = make();
			made.catch(() => {
				made = undefined;
			});
		}
		return made;
	};
}
