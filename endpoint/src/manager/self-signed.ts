/** For tests: a certificate that vouches for itself, written in DER by hand because Node.js reads certificates but makes none. */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";

export interface CertifiedKey {
	/** PEM. */
	certificate: string;
	/** PEM, PKCS #8. */
	privateKey: string;
}

export function selfSigned(name: string): CertifiedKey {
	const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
	const ecdsaWithSha256 = der(0x30, Buffer.from("06082a8648ce3d040302", "hex"));
	const commonName = der(0x30, der(0x31, der(0x30, Buffer.from("0603550403", "hex"), der(0x0c, Buffer.from(name)))));
	const validity = der(0x30, der(0x17, Buffer.from("240101000000Z")), der(0x17, Buffer.from("490101000000Z")));
	const alternativeName = extension("551d11", der(0x30, der(0x82, Buffer.from(name))));
	const isAuthority = extension("551d13", der(0x30, Buffer.from("0101ff", "hex")));
	const body = der(
		0x30,
		Buffer.from("a003020102", "hex"), // version 3
		der(0x02, Buffer.concat([Buffer.of(1), randomBytes(8)])),
		ecdsaWithSha256,
		commonName,
		validity,
		commonName,
		publicKey.export({ type: "spki", format: "der" }),
		der(0xa3, der(0x30, alternativeName, isAuthority)),
	);
	const signature = der(0x03, Buffer.of(0), sign("sha256", body, privateKey));
	const base64 = der(0x30, body, ecdsaWithSha256, signature)
		.toString("base64")
		.match(/.{1,64}/g)
		?.join("\n");
	return {
		certificate: `-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`,
		privateKey: privateKey.export({ type: "pkcs8", format: "pem" }) as string,
	};
}

function extension(oid: string, value: Buffer): Buffer {
	return der(0x30, der(0x06, Buffer.from(oid, "hex")), der(0x04, value));
}

function der(tag: number, ...parts: Buffer[]): Buffer {
	const body = Buffer.concat(parts);
	if (body.length < 128) return Buffer.concat([Buffer.of(tag, body.length), body]);
	const length =
		body.length < 256 ? Buffer.of(0x81, body.length) : Buffer.of(0x82, body.length >> 8, body.length & 0xff);
	return Buffer.concat([Buffer.of(tag), length, body]);
}
