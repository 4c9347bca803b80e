/**
 * The link's own certificate: made once, kept in the endpoint's directory, pinned by managers, which get it with the
 * job. Nobody else decides whether it is good, so it has one name, no authority above it and a long life.
 * Node signs; only the few ASN.1 fields around the signature are written here, and Node's own parser reads them back.
 */
import { generateKeyPairSync, randomBytes, sign, X509Certificate } from "node:crypto";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** The only name in the certificate: what managers check instead of a host name, which is not known beforehand. */
export const linkServerName = "errand-endpoint";

/** Longer than any endpoint lives with one directory; whoever wants a new one deletes the files. */
const lifetimeYears = 20;

export interface LinkIdentity {
	/** PEM. */
	readonly certificate: string;
	/** PEM, PKCS #8. */
	readonly key: string;
}

/** The directory's identity, made at the first call. Files are 0600. */
export async function loadLinkIdentity(directory: string): Promise<LinkIdentity> {
	const path = join(directory, "link-identity.pem");
	const found = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
		if (error.code === "ENOENT") return undefined;
		throw error;
	});
	const split = found?.indexOf("-----BEGIN CERTIFICATE-----") ?? -1;
	if (found !== undefined && split > 0) return { key: found.slice(0, split), certificate: found.slice(split) };
	const made = makeLinkIdentity(new Date());
	await writeFile(`${path}.new`, made.key + made.certificate, { mode: 0o600 });
	await rename(`${path}.new`, path);
	return made;
}

/** A fresh key (P-256) and a certificate signed by itself. */
function makeLinkIdentity(now: Date): LinkIdentity {
	const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
	const serial = randomBytes(16);
	// Positive, and without a leading zero byte.
	serial[0] = ((serial[0] as number) & 0x7f) | 0x40;
	const name = sequence(set(sequence(objectId("55 04 03"), element(0x0c, Buffer.from(linkServerName)))));
	const begins = new Date(now.getTime() - 24 * 3600 * 1000);
	const ends = new Date(now);
	ends.setUTCFullYear(ends.getUTCFullYear() + lifetimeYears);
	const content = sequence(
		element(0xa0, element(0x02, Buffer.of(2))),
		element(0x02, serial),
		ecdsaWithSha256,
		name,
		sequence(time(begins), time(ends)),
		name,
		publicKey.export({ type: "spki", format: "der" }),
		element(
			0xa3,
			sequence(
				// Basic constraints: its own authority, critical.
				extension("55 1d 13", sequence(element(0x01, Buffer.of(0xff))), true),
				// Subject alternative name: one DNS name.
				extension("55 1d 11", sequence(element(0x82, Buffer.from(linkServerName))), false),
			),
		),
	);
	const signature = sign("sha256", content, privateKey);
	const der = sequence(content, ecdsaWithSha256, element(0x03, Buffer.concat([Buffer.of(0), signature])));
	const certificate = new X509Certificate(der);
	return { certificate: certificate.toString(), key: privateKey.export({ type: "pkcs8", format: "pem" }) as string };
}

/** One ASN.1 element in DER: tag, length, content. */
function element(tag: number, content: Uint8Array): Buffer {
	const { length } = content;
	if (length < 128) return Buffer.concat([Buffer.of(tag, length), content]);
	const digits = length < 256 ? [length] : [length >> 8, length & 0xff];
	return Buffer.concat([Buffer.of(tag, 0x80 | digits.length, ...digits), content]);
}

const sequence = (...parts: Uint8Array[]): Buffer => element(0x30, Buffer.concat(parts));
const set = (...parts: Uint8Array[]): Buffer => element(0x31, Buffer.concat(parts));
const objectId = (hex: string): Buffer => element(0x06, Buffer.from(hex.replaceAll(" ", ""), "hex"));
const ecdsaWithSha256 = sequence(objectId("2a 86 48 ce 3d 04 03 02"));

/** GeneralizedTime would be refused by strict readers before 2050, UTCTime after it. */
function time(at: Date): Buffer {
	const text = `${at.toISOString().replace(/[-:T]/g, "").slice(0, 14)}Z`;
	return at.getUTCFullYear() < 2050 ? element(0x17, Buffer.from(text.slice(2))) : element(0x18, Buffer.from(text));
}

function extension(id: string, content: Buffer, critical: boolean): Buffer {
	const flag = critical ? [element(0x01, Buffer.of(0xff))] : [];
	return sequence(objectId(id), ...flag, element(0x04, content));
}
