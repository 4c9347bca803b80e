/** The interchange's reactions, carried out in their order. */
import type { Reaction } from "../interchange/reactions.ts";
import type { Journal } from "../journal/journal.ts";
import type { Link } from "../link/link.ts";
import type { ResultOutlet } from "./result-outlet.ts";
import type { StateReporter } from "./state-reporter.ts";
import type { TaskAudit } from "./task-audit.ts";

export interface Hands {
	readonly link: Link;
	readonly outlet: ResultOutlet;
	readonly journal: Pick<Journal, "lose">;
	readonly reporter: StateReporter;
	readonly audit: TaskAudit | undefined;
	/** Unix milliseconds. */
	readonly wallMs: () => number;
}

export function carryOut(
	reactions: readonly Reaction[],
	{ link, outlet, journal, reporter, audit, wallMs }: Hands,
): void {
	for (const reaction of reactions) {
		switch (reaction.kind) {
			case "dispatch":
				link.dispatch(reaction.managerId, reaction.tasks);
				break;
			case "cancel":
				link.cancel(reaction.managerId, reaction.taskIds, reaction.graceMs);
				break;
			case "result":
				audit?.ended(reaction.result);
				outlet.add(reaction.id, reaction.result, reaction.managerId);
				break;
			case "acknowledge":
				outlet.acknowledge(reaction.id, reaction.managerId);
				break;
			case "forget":
				link.acknowledge(reaction.managerId, [reaction.id]);
				break;
			case "lost":
				journal.lose(reaction.id, reaction.losses);
				break;
			case "state":
				reporter.note(reaction.id, reaction.state, reaction.reason, wallMs());
				break;
			case "drain":
				link.drain(reaction.managerId, reaction.reason);
				break;
		}
	}
}
