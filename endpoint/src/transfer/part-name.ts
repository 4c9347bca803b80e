/** The hidden file beside the final one that a transfer writes to. Short: it fits wherever the final name does. */
export const partName = (transferId: string, index: number): string =>
	`.errand-${transferId.slice(0, 8)}-${index}.part`;

/** Of no interest to any other transfer. */
export const isPartName = (name: string): boolean => /^\.errand-[0-9a-f]{8}-\d+\.part$/.test(name);
