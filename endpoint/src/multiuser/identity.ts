/** Who asks, as the cloud tells it: every identity that one person has linked. */
import * as z from "zod";

const identity = z.looseObject({
	id: z.string().min(1),
	username: z.string().optional(),
	email: z.string().optional(),
	/** Rules map only identities that are `used` or `private`. */
	status: z.string().optional(),
});

/** Properties beyond these are kept, for rules may name them. */
export type Identity = z.output<typeof identity>;

export const identitySet = z.array(identity).min(1).max(1000);

/** One identity and the local name that it stands for; nobody has looked yet whether there is such an account. */
export interface MappedName {
	readonly identityId: string;
	readonly localName: string;
}

/** Something of the identity or of a rule keeps the whole mapper from answering; the next mapper is asked. */
export class MappingFailure extends Error {
	override readonly name: string = "MappingFailure";
}

/** A mapping program gave no answer, so that nobody knows whether there is a name. Another time it may give one. */
export class MappingProgramFailure extends MappingFailure {
	override readonly name = "MappingProgramFailure";
}
