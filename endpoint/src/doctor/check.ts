/** What the doctor finds: one row a check, in the form that the command line reads. */

export interface Check {
	readonly name: string;
	readonly state: "ok" | "warning" | "fault";
	readonly says: string;
	/** What to do about it. */
	readonly next?: string;
}

export type Verdict = Omit<Check, "name">;

export const ok = (says: string): Verdict => ({ state: "ok", says });
export const warning = (says: string, next?: string): Verdict => ({ state: "warning", says, ...(next && { next }) });
export const fault = (says: string, next?: string): Verdict => ({ state: "fault", says, ...(next && { next }) });

/** The rows of one examination, in their order. */
export class Findings {
	readonly checks: Check[] = [];

	/** Whether `test` said ok. What it throws is a fault; `next` is what to do when it did not say so itself. */
	async look(name: string, test: () => Verdict | Promise<Verdict>, next?: string): Promise<boolean> {
		let verdict: Verdict;
		try {
			verdict = await test();
		} catch (error) {
			verdict = fault((error as Error).message);
		}
		const advice = verdict.next ?? next;
		this.checks.push({
			name,
			state: verdict.state,
			says: verdict.says,
			...(verdict.state !== "ok" && advice && { next: advice }),
		});
		return verdict.state === "ok";
	}
}
