/** A progress bar on a terminal, a line now and then elsewhere. */
import { formatDuration } from "../../sdk/cli/duration.ts";

export interface Progress {
	step(): void;
	/** Prints how long it took. */
	end(): void;
}

const barWidth = 32;

export function openProgress(what: string, total: number, out: NodeJS.WriteStream): Progress {
	const started = performance.now();
	let done = 0;
	let shown = -1;
	const draw = (anyway = false): void => {
		const share = total === 0 ? 1 : done / total;
		const mark = out.isTTY ? Math.round(share * barWidth) : Math.floor(share * 4);
		if (mark === shown && !anyway) return;
		shown = mark;
		const counts = `${String(done).padStart(String(total).length)} of ${total}`;
		if (out.isTTY) out.write(`\r  ${what}  ${"█".repeat(mark)}${"░".repeat(barWidth - mark)}  ${counts}`);
		else out.write(`  ${what}  ${counts}\n`);
	};
	draw();
	return {
		step() {
			done++;
			draw();
		},
		end() {
			if (out.isTTY) draw(true);
			const took = formatDuration(performance.now() - started);
			out.write(out.isTTY ? `  in ${took}\n` : `  ${what}  done in ${took}\n`);
		},
	};
}
