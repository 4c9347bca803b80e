/** The way to the cloud for this command: what the environment says, else what `errand login` stored. */
import type { Whoami } from "@errand/proto/rest";
import type { Client } from "../src/index.ts";
import { Complaint } from "./complaint.ts";
import type { DevicePrompt } from "./context.ts";
import type { Home } from "./home.ts";

/** A person waits: fewer repetitions than a program makes, about two seconds of outage. */
const retries = 3;

/** `ERRAND_TOKEN` (with `ERRAND_CLOUD_URL`) is for programs; it comes before what is stored. */
export async function openClient(environment: NodeJS.ProcessEnv, home: Home): Promise<Client> {
	const { Client } = await import("../src/index.ts");
	const cloudUrl = environment.ERRAND_CLOUD_URL || undefined;
	if (environment.ERRAND_TOKEN)
		return new Client({ cloudUrl: cloudUrl ?? "http://localhost:5000", token: environment.ERRAND_TOKEN, retries });
	const { fileTokenSource } = await import("../src/auth/credential-store.ts");
	const token = await fileTokenSource({ directory: home.directory, ...(cloudUrl && { cloudUrl }) });
	if (!token)
		throw new Complaint("forbidden", `you are not logged in${cloudUrl ? ` to ${cloudUrl}` : ""}`, {
			next: "errand login",
		});
	return new Client({ token, retries });
}

export async function openSession(
	home: Home,
	cloudUrl: string,
	{ fresh }: { fresh: boolean },
	onPrompt: (prompt: DevicePrompt) => Promise<void>,
	signal: AbortSignal,
): Promise<Whoami> {
	const { deviceLogin } = await import("../src/auth/device-login.ts");
	await deviceLogin({ cloudUrl, directory: home.directory, fresh, onPrompt, signal });
	return await (await openClient({}, home)).whoami();
}

export async function closeSession(home: Home): Promise<string | undefined> {
	const { logout } = await import("../src/auth/device-login.ts");
	return await logout({ directory: home.directory });
}
