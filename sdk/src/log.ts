/** Where the SDK says what it waits for: any logger shaped like pino. Silent unless given. */
type Write = (fields: object, message: string) => void;

export interface Log {
	debug: Write;
	info: Write;
	warn: Write;
	error: Write;
}

const nothing: Write = () => {};

export const silentLog: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing };
