/** What an identity mapping file says: mappers of either kind, asked in order until one knows somebody. */
import * as z from "zod";
import { ConfigFault } from "../config/config.ts";
import type { Logger } from "../service/logger.ts";
import { applyRules, compileRules, expressionDocument } from "./expression-map.ts";
import { askProgram, externalDocument } from "./external-map.ts";
import { type Identity, type MappedName, MappingFailure, MappingProgramFailure } from "./identity.ts";

const mappers = z.array(z.discriminatedUnion("DATA_TYPE", [expressionDocument, externalDocument])).min(1);

type Mapper = (identities: readonly Identity[]) => Promise<MappedName[]>;

export interface IdentityMap {
	/**
	 * The first name of the first mapper that has one; undefined when none has. A mapper that fails is logged and passed
	 * over. Rejects with the MappingProgramFailure of a program that failed when no other mapper has a name.
	 */
	map(identities: readonly Identity[]): Promise<MappedName | undefined>;
}

function mapperOf(document: z.output<typeof mappers>[number], endpointId: string): Mapper {
	if (document.DATA_TYPE === "external_identity_mapping#1.0.0")
		return (identities) => askProgram(document, identities, endpointId);
	const rules = compileRules(document);
	return async (identities) => applyRules(rules, identities);
}

/** `file` is for messages; `endpointId` is told to mapping programs. Throws a {@link ConfigFault} with every fault. */
export function parseIdentityMap(text: string, file: string, endpointId: string, log: Logger): IdentityMap {
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch (cause) {
		throw new ConfigFault(file, [`it is not JSON: ${(cause as Error).message}`]);
	}
	const read = mappers.safeParse(value);
	if (!read.success)
		throw new ConfigFault(
			file,
			read.error.issues.map(({ path, message }) => `${path.map(String).join(".") || "the list"}: ${message}`),
		);
	const faults: string[] = [];
	const chain = read.data.flatMap((document, at) => {
		try {
			return [mapperOf(document, endpointId)];
		} catch (error) {
			if (!(error instanceof MappingFailure)) throw error;
			faults.push(`${at}: ${error.message}`);
			return [];
		}
	});
	if (faults.length > 0) throw new ConfigFault(file, faults);
	return {
		async map(identities) {
			let unanswered: MappingProgramFailure | undefined;
			for (const [at, mapper] of chain.entries()) {
				try {
					const [first] = await mapper(identities);
					if (first) return first;
				} catch (error) {
					if (!(error instanceof MappingFailure)) throw error;
					log.warn({ err: error, mapper: at, file }, "identity mapping: a mapper failed; the next one is asked");
					if (error instanceof MappingProgramFailure) unanswered ??= error;
				}
			}
			if (unanswered !== undefined) throw unanswered;
			return undefined;
		},
	};
}
