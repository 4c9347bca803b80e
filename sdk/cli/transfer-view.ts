/** A transfer on a person's screen, and how one is waited for. */
import { isTransferOver } from "@errand/proto";
import type { TransferDocument } from "@errand/proto/rest";
import type { Client } from "../src/index.ts";
import type { Context } from "./context.ts";
import { formatDuration } from "./duration.ts";
import type { ExitName } from "./exit-code.ts";
import type { Screen } from "./screen.ts";
import { formatSize } from "./size.ts";

export const transferColours = { ACTIVE: "cyan", INACTIVE: "yellow", SUCCEEDED: "green", FAILED: "red" } as const;

const firstLookMs = 100;
const longestLookMs = 1_000;
/** The speed is that of the last so many looks. */
const speedLooks = 8;
const barCells = 20;

export function transferExit({ status, fatal_error: error }: TransferDocument): ExitName | undefined {
	if (status !== "FAILED") return undefined;
	return error?.code === "CANCELED" ? "cancelled" : "failed";
}

/** One line for the end. */
export function showTransfer(transfer: TransferDocument, screen: Screen): void {
	const { id, status, counters, fatal_error: error, used_route: route } = transfer;
	const word = screen.style(transferColours[status], status);
	if (error !== null) {
		screen.line(`${id}  ${word}  ${error.code}: ${error.description}`);
		return;
	}
	if (!isTransferOver(status)) {
		screen.line(`${id}  ${word}`);
		return;
	}
	const tookMs = Date.parse(transfer.completed_at ?? "") - Date.parse(transfer.started_at ?? transfer.created_at);
	const parts = [
		`${counters.files_transferred} files, ${formatSize(counters.bytes_transferred)} in ${formatDuration(tookMs)}`,
		`${formatSize(transfer.effective_bytes_per_second)}/s, ${route}`,
		...(counters.files_skipped > 0 ? [`${counters.files_skipped} were there`] : []),
		...(counters.files_deleted > 0 ? [`${counters.files_deleted} deleted`] : []),
		...(counters.files_failed > 0
			? [`${counters.files_failed} left out: errand transfer files ${id.slice(0, 8)} --outcome failed`]
			: []),
	];
	screen.line(`${id}  ${word}  ${parts.join("; ")}`);
}

/** `[#####     ] 42%  1.2 GiB of 2.9 GiB  310 MiB/s  5 s left` */
function progressLine(transfer: TransferDocument, bytesPerSecond: number): string {
	const { status, nice_status_description: words, counters } = transfer;
	if (status === "INACTIVE" || counters.files === 0) return `${status === "INACTIVE" ? "waiting: " : ""}${words}`;
	const done = counters.bytes_transferred + counters.bytes_skipped;
	const part = counters.bytes === 0 ? 1 : Math.min(1, done / counters.bytes);
	const cells = Math.round(part * barCells);
	const leftMs = bytesPerSecond > 0 ? ((counters.bytes - done) / bytesPerSecond) * 1000 : undefined;
	const files = counters.files_transferred + counters.files_skipped;
	return [
		`[${"#".repeat(cells)}${" ".repeat(barCells - cells)}] ${Math.floor(part * 100)}%`,
		`${formatSize(done)} of ${formatSize(counters.bytes)}`,
		`${files} of ${counters.files} files`,
		`${formatSize(bytesPerSecond)}/s`,
		...(leftMs === undefined || leftMs < 1000 ? [] : [`${formatDuration(leftMs)} left`]),
	].join("  ");
}

/** Until it is over; a person sees how far it is. */
export async function followTransfer(context: Context, client: Client, id: string): Promise<TransferDocument> {
	const looks: { atMs: number; bytes: number }[] = [];
	try {
		for (let waitMs = firstLookMs; ; waitMs = Math.min(waitMs * 1.5, longestLookMs)) {
			const transfer = await client.transfers.get(id);
			if (isTransferOver(transfer.status)) return transfer;
			looks.push({ atMs: context.now(), bytes: transfer.counters.bytes_transferred });
			if (looks.length > speedLooks) looks.shift();
			const [first, last] = [looks[0], looks.at(-1)];
			const seconds = first && last ? (last.atMs - first.atMs) / 1000 : 0;
			const speed = first && last && seconds > 0 ? (last.bytes - first.bytes) / seconds : 0;
			context.progress(progressLine(transfer, Math.max(0, speed)));
			await context.pause(waitMs);
		}
	} finally {
		context.progress("");
	}
}
