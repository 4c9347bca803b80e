/** Which of several invitations to one endpoint counts, and what it allows. Pure. */
import type { FunctionId } from "@errand/proto";

/** One way in which an endpoint is shared with an account. */
export interface Invitation {
	/** With the account itself, not by a group. */
	readonly personal: boolean;
	/** Null: no limit. */
	readonly tasksPerDay: number | null;
	/** Null: whatever the guest may use. */
	readonly functions: readonly FunctionId[] | null;
	/** Null: as the task asks. */
	readonly containerImage: string | null;
}

/**
 * The one that counts, whole: the personal one, so that an owner can hold one member of a group shorter (or longer) than
 * the rest; else the one with the most tasks a day, of equals the first.
 */
export function invitationOf<I extends Invitation>(invitations: readonly I[]): I | undefined {
	const tasks = (one: Invitation): number => one.tasksPerDay ?? Number.POSITIVE_INFINITY;
	return invitations.reduce<I | undefined>((best, one) => {
		if (best === undefined || (one.personal && !best.personal)) return one;
		return one.personal === best.personal && tasks(one) > tasks(best) ? one : best;
	}, undefined);
}

/** What a guest's task asks for, in the image that the invitation names; no variant leads out of it. */
export function inImage(resources: Record<string, unknown> | null, image: string): Record<string, unknown> {
	const { variants, launcher_options: _words, ...rest } = resources ?? {};
	const held = Array.isArray(variants)
		? { variants: variants.map((way: object) => ({ ...way, container_image: image })) }
		: {};
	return { ...rest, ...held, container_image: image };
}
