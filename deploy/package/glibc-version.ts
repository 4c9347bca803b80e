/** Which glibc a binary needs, read from the binary: no binutils on the machine that packs. */

const sectionOfNeededVersions = 0x6ffffffe; // SHT_GNU_verneed
const elfMagic = 0x464c457f;

/** The highest `GLIBC_x.y` that a little-endian 64-bit ELF file asks for, as `[x, y]`. Throws a RangeError for anything else. */
export function neededGlibc(file: Buffer): readonly [major: number, minor: number] {
	if (file.length < 64 || file.readUInt32LE(0) !== elfMagic || file[4] !== 2 || file[5] !== 1)
		throw new RangeError("not a little-endian 64-bit ELF file");
	const sections = readSections(file);
	const versions = sections
		.filter(({ type }) => type === sectionOfNeededVersions)
		.flatMap(({ offset, link }) => neededVersions(file, offset, sections[link]?.offset ?? 0));
	const glibc = versions.flatMap((name) => {
		const [, major, minor] = /^GLIBC_(\d+)\.(\d+)/.exec(name) ?? [];
		return major === undefined ? [] : [[Number(major), Number(minor)] as const];
	});
	return glibc.reduce((a, b) => (b[0] > a[0] || (b[0] === a[0] && b[1] > a[1]) ? b : a), [0, 0] as const);
}

interface Section {
	type: number;
	offset: number;
	link: number;
}

function readSections(file: Buffer): Section[] {
	const table = Number(file.readBigUInt64LE(0x28));
	const size = file.readUInt16LE(0x3a);
	return Array.from({ length: file.readUInt16LE(0x3c) }, (_, n) => {
		const at = table + n * size;
		return {
			type: file.readUInt32LE(at + 4),
			offset: Number(file.readBigUInt64LE(at + 24)),
			link: file.readUInt32LE(at + 40),
		};
	});
}

/** Two linked lists, one in the other: libraries, and the versions wanted of each. */
function neededVersions(file: Buffer, start: number, names: number): string[] {
	const versions: string[] = [];
	for (let library = start, more = true; more; ) {
		let version = library + file.readUInt32LE(library + 8);
		for (let left = file.readUInt16LE(library + 2); left > 0; left--) {
			const name = names + file.readUInt32LE(version + 8);
			versions.push(file.toString("latin1", name, file.indexOf(0, name)));
			version += file.readUInt32LE(version + 12);
		}
		const next = file.readUInt32LE(library + 12);
		more = next !== 0;
		library += next;
	}
	return versions;
}
