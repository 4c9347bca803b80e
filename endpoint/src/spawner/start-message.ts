/** What a user endpoint's process is told on its standard input: everything, for it can read nothing of the manager's. */
import * as z from "zod";
import type { Json } from "../multiuser/quoted-values.ts";

const json = z.custom<Json>();
const values = z.record(z.string(), json);

const startMessage = z.object({
	manager_id: z.uuid(),
	user_endpoint_id: z.uuid(),
	/** The directory's name. */
	name: z.string().regex(/^uep\.[0-9a-f-]{36}\.[0-9a-f-]{36}$/),
	credentials: z.object({
		cloud_url: z.url(),
		client_id: z.uuid(),
		client_secret: z.string().min(1),
		token_endpoint: z.url(),
	}),
	template: z.object({
		file: z.string(),
		text: z.string(),
		includes: z.record(z.string(), z.string()),
		schema: z.object({ file: z.string(), text: z.string() }).optional(),
		parent_config: values,
	}),
	values,
	runtime: values,
	account: z.object({
		uname: z.string(),
		uid: z.int(),
		gid: z.int(),
		gecos: z.string(),
		dir: z.string(),
		shell: z.string(),
		groups: z.array(z.int()),
	}),
	mapped_identity_id: z.string(),
	/** Of the manager; they stand above the template's. */
	allowed_functions: z.array(z.uuid()).optional(),
});
export type StartMessage = z.output<typeof startMessage>;

/** Inverse of {@link decodeStartMessage}. */
export const encodeStartMessage = (message: StartMessage): string => JSON.stringify(message);

/** Throws an Error that quotes nothing of it, for secrets are in it. */
export function decodeStartMessage(text: string): StartMessage {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch {
		throw new Error("what the manager said on standard input is no JSON: only a manager endpoint starts this");
	}
	const read = startMessage.safeParse(value);
	if (!read.success)
		throw new Error(
			`what the manager said is not understood (${read.error.issues.map(({ path }) => path.join(".")).join(", ")}): were manager and user endpoint updated together?`,
		);
	return read.data;
}
