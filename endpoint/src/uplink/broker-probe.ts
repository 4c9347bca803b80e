/** Whether the broker takes this endpoint's credentials from here, without becoming its daemon. */
import { connect } from "amqplib";

/** The broker's host and port. Throws in the broker's words, or the network's. */
export async function probeBroker(url: string, timeoutMs: number): Promise<string> {
	const { hostname, port, protocol } = new URL(url);
	const place = `${hostname}:${port || (protocol === "amqps:" ? 5671 : 5672)}`;
	try {
		const connection = await connect(url, {
			timeout: timeoutMs,
			clientProperties: { connection_name: "errand doctor" },
		});
		connection.on("error", () => undefined);
		await connection.close();
		return place;
	} catch (cause) {
		throw new Error(`${place}: ${(cause as Error).message}`, { cause });
	}
}
