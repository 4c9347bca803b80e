/** The one address at which Globus Compute's programs look for a cloud that is not its maker's, and who answers there. */
import { cloudDocument } from "@errand/proto/rest";

/** Written into their code for the environment `local`; no variable and no argument changes it. */
export const globusComputeUrl = "http://localhost:5000";

export type GlobusAddress = "this cloud" | "another cloud" | "another program" | "nobody";

/** Who answers at `url`, for somebody who looks for the cloud with this issuer. Never throws. */
export async function whoAnswersAt(url: string, issuer: string): Promise<GlobusAddress> {
	let reply: Response;
	try {
		reply = await fetch(`${url}/v1/cloud`, { signal: AbortSignal.timeout(3000) });
	} catch {
		return "nobody";
	}
	const document = cloudDocument.safeParse(await reply.json().catch(() => undefined));
	if (!document.success) return "another program";
	return document.data.issuer === issuer ? "this cloud" : "another cloud";
}
