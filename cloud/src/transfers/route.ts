/** Which way a transfer goes. Pure. */
import type { TransferRoute } from "@errand/proto";

/** `wanted`: the person has said so; a direct way that nobody listens on is refused by whoever asks. */
export function chooseRoute(ends: {
	readonly source: { readonly id: string; readonly addresses: readonly string[] };
	readonly destination: { readonly id: string };
	readonly wanted?: "direct" | "relay" | undefined;
}): TransferRoute {
	if (ends.source.id === ends.destination.id) return "local";
	if (ends.wanted !== undefined) return ends.wanted;
	return ends.source.addresses.length > 0 ? "direct" : "relay";
}
