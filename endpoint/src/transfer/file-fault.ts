/** What can be wrong with one file, in the words that transfers tell people. */
import type { TransferEventCode } from "@errand/proto/rest";

export const fileFaultCodes = [
	"FILE_NOT_FOUND",
	"PERMISSION_DENIED",
	"PATH_OUTSIDE_COLLECTION",
	"DISK_FULL",
	"NOT_A_FILE",
	"SOURCE_CHANGED",
	"CHECKSUM_MISMATCH",
	"FILE_ERROR",
] as const satisfies readonly TransferEventCode[];
export type FileFaultCode = (typeof fileFaultCodes)[number];

export class FileFault extends Error {
	override readonly name = "FileFault";
	readonly code: FileFaultCode;

	constructor(code: FileFaultCode, message: string, cause?: unknown) {
		super(message, cause === undefined ? undefined : { cause });
		this.code = code;
	}
}

const bySystemCode: Readonly<Record<string, readonly [FileFaultCode, string]>> = {
	ENOENT: ["FILE_NOT_FOUND", "is not there"],
	EACCES: ["PERMISSION_DENIED", "may not be read or written by this endpoint's account"],
	EPERM: ["PERMISSION_DENIED", "may not be read or written by this endpoint's account"],
	EROFS: ["PERMISSION_DENIED", "is on a file system that is read-only"],
	ELOOP: ["PATH_OUTSIDE_COLLECTION", "became a link while it was opened"],
	ENOTDIR: ["NOT_A_FILE", "goes through something that is no directory"],
	EISDIR: ["NOT_A_FILE", "is a directory"],
	EEXIST: ["NOT_A_FILE", "is there already and is something else"],
	ENOTEMPTY: ["NOT_A_FILE", "is a directory"],
	ENOSPC: ["DISK_FULL", "does not fit: the disk is full"],
	EDQUOT: ["DISK_FULL", "does not fit: the quota is used up"],
	EFBIG: ["DISK_FULL", "is larger than a file may be there"],
	ENAMETOOLONG: ["FILE_ERROR", "has a longer name than the file system takes"],
};

/** Errors of the operating system in those words; a FileFault as it is. */
export function faultOfSystem(error: unknown, path: string): FileFault {
	if (error instanceof FileFault) return error;
	const { code = "", message } = error as NodeJS.ErrnoException;
	const [fault, words] = bySystemCode[code] ?? ["FILE_ERROR", `: ${message.replaceAll(/\/proc\/self\/fd\/\d+/g, "…")}`];
	return new FileFault(fault, `${path} ${words}`, error);
}

/** As it goes between threads and agents. */
export interface PlainFault {
	readonly code: FileFaultCode;
	readonly message: string;
}

export const plainFault = ({ code, message }: FileFault): PlainFault => ({ code, message });
export const faultOfPlain = ({ code, message }: PlainFault): FileFault => new FileFault(code, message);
