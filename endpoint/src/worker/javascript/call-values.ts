/** Argument buffers → values, and a value → the result buffer. */
import { Fault } from "@errand/proto/fault";
import { joinBuffer, serializations, splitBuffer, unpack } from "@errand/proto/payload";
import {
	jsonObstacle,
	parseStructured,
	stringifyStructured,
	UnserializableValueError,
} from "@errand/proto/structured-value";

export interface Call {
	args: unknown[];
	kwargs: Record<string, unknown>;
	/** The caller wrote `ev`, so it reads `ev`. */
	structured: boolean;
}

const decoders: Readonly<Record<string, (content: string) => unknown>> = {
	[serializations.json]: JSON.parse,
	[serializations.structured]: parseStructured,
};

/** Packed arguments → what to call with. Throws a Fault ARGUMENTS_NOT_DECODED. */
export function decodeCall(packed: string): Call {
	try {
		const buffers = unpack(packed).map(splitBuffer);
		const [args, kwargs] = buffers.map(({ id, content }) => {
			const decode = decoders[id];
			if (decode === undefined)
				throw new RangeError(
					`serialization ${JSON.stringify(id)} is not one that JavaScript reads (11 JSON, ev structured)`,
				);
			return decode(content);
		});
		if (buffers.length !== 2 || !Array.isArray(args) || typeof kwargs !== "object" || kwargs === null)
			throw new RangeError(`expected a list and an object in two buffers, found ${buffers.length} buffers`);
		const structured = buffers[0]?.id === serializations.structured;
		return { args, kwargs: kwargs as Record<string, unknown>, structured };
	} catch (error) {
		throw new Fault("ARGUMENTS_NOT_DECODED", `the arguments could not be read: ${(error as Error).message}`, {
			cause: error,
		});
	}
}

/**
 * The result's buffer: JSON where it says everything, else `ev`. When the caller's list of serializers names JSON, only
 * JSON. Throws a Fault RESULT_NOT_SERIALIZABLE that names the path of the offending value.
 */
export function encodeResult(value: unknown, call: Call, resultSerializers: readonly string[]): string {
	const jsonOnly = resultSerializers.some((path) => path.endsWith("JSONData"));
	const plain = jsonOnly && value === undefined ? null : value; // a function without a return value
	const obstacle = call.structured && !jsonOnly ? undefined : jsonObstacle(plain);
	if (jsonOnly && obstacle !== undefined)
		throw new Fault(
			"RESULT_NOT_SERIALIZABLE",
			`the result cannot be sent as JSON, which the caller asked for: ${obstacle.message}; convert it in the function`,
		);
	if (jsonOnly || (!call.structured && obstacle === undefined))
		return joinBuffer(serializations.json, JSON.stringify(plain));
	try {
		return joinBuffer(serializations.structured, stringifyStructured(plain));
	} catch (error) {
		if (!(error instanceof UnserializableValueError)) throw error;
		throw new Fault("RESULT_NOT_SERIALIZABLE", `the result cannot be sent: ${error.message}`, { cause: error });
	}
}
