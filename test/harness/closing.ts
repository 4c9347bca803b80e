import { afterEach } from "vitest";

/** Ends one thing that a test has started. */
export type Close = () => Promise<unknown>;

/**
 * For a test file: what is given to the returned function is closed after each test, the last one first. One that cannot
 * be closed does not keep the others from it; its error fails the test.
 */
export function closeAfterEach(): (close: Close) => void {
	const closing: Close[] = [];
	afterEach(async () => {
		const errors: unknown[] = [];
		for (const close of closing.splice(0).reverse()) await close().catch((error: unknown) => errors.push(error));
		if (errors.length > 0)
			throw errors.length === 1 ? errors[0] : new AggregateError(errors, "not everything was closed");
	});
	return (close) => {
		closing.push(close);
	};
}
