import { expect, test } from "vitest";
import { createLog } from "./log.ts";

test("secrets are never written, at any of the depths at which they turn up", () => {
	const lines: string[] = [];
	const log = createLog({ level: "debug", destination: { write: (line: string) => void lines.push(line) } });
	const secret = "hunter2";
	log.info({ password: secret, token: secret, connection_url: `amqp://u:${secret}@host` }, "one");
	log.info({ request: { headers: { authorization: `Bearer ${secret}`, cookie: secret } } }, "two");
	log.info(
		{ endpoint: { reply: { task_queue_info: { connection_url: secret } } }, body: { client_secret: secret } },
		"three",
	);
	log.info({ config: { databaseUrl: secret, blobs: { secretAccessKey: secret } } }, "four");
	log.child({ token: secret }).info({ list: [{ password: secret }] }, "five");
	log.error({ err: Object.assign(new Error("refused"), { connection_url: secret }) }, "six");
	const deep: Record<string, unknown> = { password: secret };
	deep.self = deep;
	log.info({ deep }, "seven");
	const written = lines.join("");
	expect(written).not.toContain(secret);
	expect(written.match(/\[secret\]/g)).toHaveLength(18);
	expect(lines).toHaveLength(7);
});
