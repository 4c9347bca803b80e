/**
 * The cloud's configuration, read once from the environment: strict, every fault reported at once, frozen.
 * Each variable's schema carries its description, so that documentation can list what there is.
 */
import { isIP } from "node:net";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { retentionMs } from "@errand/proto";
import * as z from "zod";

const dayMs = 24 * 3600 * 1000;

const wholeNumber = (min: number, max: number) =>
	z
		.string()
		.regex(/^\d{1,15}$/, "is not a whole number")
		.transform(Number)
		.pipe(z.number().min(min, `is less than ${min}`).max(max, `is more than ${max}`));

const urlOf = (...protocols: string[]) =>
	z.string().refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol.slice(0, -1)), {
		error: `is not a URL that starts with ${protocols.map((name) => `${name}://`).join(" or ")}`,
	});

const baseUrl = urlOf("http", "https")
	.refine((text) => !URL.canParse(text) || !(new URL(text).search || new URL(text).hash || new URL(text).username), {
		error: "has a query, a fragment or a user name, which a base URL cannot have",
	})
	.transform((text) => text.replace(/\/+$/, ""));

const list = (what: string, holds: (item: string) => boolean) =>
	z
		.string()
		.transform((text) =>
			text
				.split(",")
				.map((item) => item.trim())
				.filter((item) => item !== ""),
		)
		.refine((items) => items.every(holds), { error: `is not a comma-separated list of ${what}` });

function isAddressRange(text: string): boolean {
	const [address = "", bits, ...rest] = text.split("/");
	const family = isIP(address);
	if (family === 0 || rest.length > 0) return false;
	return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}

function isProviderAddress(text: string): boolean {
	if (!URL.canParse(text)) return false;
	const { protocol, hostname, username, password, search, hash } = new URL(text);
	return (
		(protocol === "https:" || (protocol === "http:" && isLoopback(hostname))) &&
		!(username || password || search || hash)
	);
}

const isOrigin = (text: string): boolean => text === "*" || (URL.canParse(text) && new URL(text).origin === text);
const someText = z.string().min(1);
const host = z.string().regex(/^[A-Za-z0-9.:_-]{1,255}$/, "is not a host name or an address");

/** Every variable that is read, with what it means. */
export const configVariables = z.strictObject({
	ERRAND_HOME: someText.optional().describe("Where Errand keeps its files; `~/.errand`."),
	ERRAND_CLOUD_STATE_DIRECTORY: someText.optional().describe("The cloud's own files; `$ERRAND_HOME/cloud`."),
	ERRAND_CLOUD_HOST: host.default("127.0.0.1").describe("Address that HTTP listens on."),
	ERRAND_CLOUD_PORT: wholeNumber(0, 65_535).default(5000).describe("Port that HTTP listens on; 0 takes a free one."),
	ERRAND_CLOUD_PUBLIC_URL: baseUrl.optional().describe("How clients reach this cloud; `http://localhost:<port>`."),
	DATABASE_URL: urlOf("postgres", "postgresql").optional().describe("PostgreSQL; without it the embedded one."),
	AMQP_URL: urlOf("amqp", "amqps").optional().describe("RabbitMQ as administrator; without it the embedded broker."),
	RABBITMQ_MANAGEMENT_URL: urlOf("http", "https")
		.optional()
		.describe("RabbitMQ's management interface, with user and password; goes with AMQP_URL."),
	ERRAND_CLOUD_AMQP_HOST: host.default("127.0.0.1").describe("Address that the embedded broker listens on."),
	ERRAND_CLOUD_AMQP_PORT: wholeNumber(0, 65_535)
		.default(5672)
		.describe("Port of the embedded broker; 0 takes a free one."),
	ERRAND_CLOUD_AMQP_TLS_CERTIFICATE: someText
		.optional()
		.describe("File (PEM, the whole chain) with which the embedded broker speaks TLS."),
	ERRAND_CLOUD_AMQP_TLS_KEY: someText.optional().describe("File (PEM) with that certificate's private key."),
	ERRAND_CLOUD_AMQP_PUBLIC_URL: urlOf("amqp", "amqps")
		.refine((text) => !URL.canParse(text) || new URL(text).username === "", { error: "must not carry a user" })
		.optional()
		.describe("How endpoints and clients reach the broker, where that differs from how the cloud does."),
	ERRAND_CLOUD_BLOBS: z
		.enum(["directory", "s3"], { error: 'is neither "directory" nor "s3"' })
		.default("directory")
		.describe("Where large values are kept."),
	ERRAND_CLOUD_BLOB_DIRECTORY: someText.optional().describe("Directory of large values; `<state directory>/blobs`."),
	ERRAND_CLOUD_S3_ENDPOINT: baseUrl.optional().describe("S3 service, such as `https://s3.eu-central-1.amazonaws.com`."),
	ERRAND_CLOUD_S3_BUCKET: z
		.string()
		.regex(/^[a-z0-9][a-z0-9.-]{1,62}$/, "is not a bucket's name")
		.optional(),
	ERRAND_CLOUD_S3_REGION: someText.default("us-east-1"),
	ERRAND_CLOUD_S3_PREFIX: z.string().default("").describe("Put before every key in the bucket."),
	ERRAND_CLOUD_S3_ACCESS_KEY_ID: someText.optional(),
	ERRAND_CLOUD_S3_SECRET_ACCESS_KEY: someText.optional(),
	ERRAND_CLOUD_OUTSIDE_ISSUER: urlOf("http", "https")
		.optional()
		.describe("An OpenID issuer whose tokens are accepted as well, exactly as its tokens spell it."),
	ERRAND_CLOUD_OUTSIDE_AUDIENCE: someText.optional().describe("What its tokens must name as their audience."),
	ERRAND_CLOUD_OUTSIDE_USERNAME_CLAIM: someText.default("preferred_username"),
	ERRAND_CLOUD_OUTSIDE_NAME_CLAIM: someText.default("name"),
	ERRAND_CLOUD_OUTSIDE_EMAIL_CLAIM: someText.default("email"),
	ERRAND_CLOUD_OUTSIDE_SCOPE_CLAIM: someText.default("scope"),
	ERRAND_CLOUD_OUTSIDE_REQUIRED_SCOPE: someText.optional().describe("A scope that its tokens must carry."),
	ERRAND_CLOUD_OUTSIDE_ADMINISTRATORS: list("subjects", (item) => item.length <= 255)
		.default([])
		.describe("Subjects (`sub`) of the outside issuer that administer this cloud."),
	ERRAND_CLOUD_ACCESS_TOKEN_S: wholeNumber(5, 30 * 86_400)
		.default(172_800)
		.describe("Seconds that an access token is good for; clients refresh theirs before."),
	ERRAND_CLOUD_RATE_LIMIT_PER_S: wholeNumber(1, 1_000_000)
		.default(500)
		.describe("Requests a second that one account may make for long; a batch of 10,000 tasks is one request."),
	ERRAND_CLOUD_RATE_LIMIT_BURST: wholeNumber(1, 1_000_000)
		.default(2000)
		.describe("Requests that one account may make at once after a pause."),
	ERRAND_CLOUD_LOG_LEVEL: z
		.enum(["trace", "debug", "info", "warn", "error", "silent"], {
			error: "is none of trace, debug, info, warn, error, silent",
		})
		.default("info"),
	ERRAND_CLOUD_TRUSTED_PROXIES: list("addresses or address ranges", isAddressRange)
		.default([])
		.describe("Reverse proxies whose X-Forwarded-For is believed."),
	ERRAND_CLOUD_CORS_ORIGINS: list("origins such as https://app.example.org", isOrigin)
		.default([])
		.describe("Web origins that may use the interface from a browser; `*` for any."),
	ERRAND_CLOUD_ACTION_PROVIDERS: list(
		"addresses of action providers: https://…, or http:// on this machine, without user and query",
		isProviderAddress,
	)
		.default([])
		.describe(
			"Action providers elsewhere that flows may ask, by their addresses; one that ends in / covers all below it.",
		),
	ERRAND_CLOUD_RETENTION_DAYS: wholeNumber(1, 3650)
		.default(retentionMs / dayMs)
		.describe("How long finished tasks, their results and output are kept."),
	ERRAND_CLOUD_METRICS_ACCESS: z
		.enum(["loopback", "operator", "public"], { error: "is none of loopback, operator, public" })
		.default("loopback")
		.describe("Who may read /metrics besides the operator: this machine, nobody, anyone."),
});

/** Variables of other programs whose names begin as ours do: the address that clients use, and where the cloud's program is. */
const foreignVariables = new Set(["ERRAND_CLOUD_URL", "ERRAND_CLOUD_MAIN"]);

/** What was wrong with the configuration: all of it, each as one sentence that begins with the variable's name. */
export class ConfigError extends Error {
	override readonly name = "ConfigError";
	readonly faults: readonly string[];

	constructor(faults: readonly string[]) {
		super(`The configuration cannot be used:\n${faults.map((fault) => `  ${fault}`).join("\n")}`);
		this.faults = faults;
	}
}

/** The cloud's configuration; frozen. */
export interface CloudConfig {
	/** Address and port that HTTP listens on; port 0 takes a free one. */
	readonly host: string;
	readonly port: number;
	/** Base URL without a trailing slash, as clients know it; undefined: `http://localhost:<port that was taken>`. */
	readonly publicUrl: string | undefined;
	/** Absolute; holds what survives a restart. Mode 0700. */
	readonly stateDirectory: string;
	/** PostgreSQL; undefined: the embedded one in the state directory. */
	readonly databaseUrl: string | undefined;
	readonly broker:
		| {
				readonly kind: "embedded";
				readonly host: string;
				readonly port: number;
				/** Files; with them the broker speaks TLS only. */
				readonly tls: { readonly certificateFile: string; readonly keyFile: string } | undefined;
				readonly publicUrl: string | undefined;
		  }
		| {
				readonly kind: "rabbitmq";
				readonly url: string;
				readonly managementUrl: string;
				readonly publicUrl: string | undefined;
		  };
	readonly blobs:
		| { readonly kind: "directory"; readonly directory: string }
		| {
				readonly kind: "s3";
				readonly endpoint: string;
				readonly bucket: string;
				readonly region: string;
				readonly prefix: string;
				readonly accessKeyId: string;
				readonly secretAccessKey: string;
		  };
	/** A second issuer of tokens; names of the claims that describe an account. */
	readonly outsideIssuer:
		| {
				readonly issuer: string;
				readonly audience: string;
				readonly claims: {
					readonly username: string;
					readonly name: string;
					readonly email: string;
					readonly scope: string;
				};
				/** A scope that its tokens must carry. */
				readonly requiredScope: string | undefined;
				/** Subjects that administer this cloud. */
				readonly administrators: readonly string[];
		  }
		| undefined;
	/** How long an access token is good for, in seconds. */
	readonly accessTokenS: number;
	/** One account's requests. */
	readonly rateLimit: { readonly perSecond: number; readonly burst: number };
	readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "silent";
	/** Addresses and ranges (`10.0.0.0/8`) of proxies whose X-Forwarded-For is believed. */
	readonly trustedProxies: readonly string[];
	/** Web origins besides our own; `*` for any. */
	readonly corsOrigins: readonly string[];
	/** Addresses of action providers elsewhere, or beginnings of them. */
	readonly actionProviders: readonly string[];
	readonly retentionMs: number;
	readonly metricsAccess: "loopback" | "operator" | "public";
	/** Allowed but unwise; for the log at start. */
	readonly warnings: readonly string[];
}

const loopbackHosts = new Set(["127.0.0.1", "::1", "localhost", "[::1]"]);

/** Whether only this machine can reach what listens there. */
export const isLoopback = (host: string): boolean => loopbackHosts.has(host);

/** Variables that are only useful together. */
const companions: readonly (readonly [keyof Variables, readonly (keyof Variables)[]])[] = [
	["AMQP_URL", ["RABBITMQ_MANAGEMENT_URL"]],
	["RABBITMQ_MANAGEMENT_URL", ["AMQP_URL"]],
	["ERRAND_CLOUD_AMQP_TLS_CERTIFICATE", ["ERRAND_CLOUD_AMQP_TLS_KEY"]],
	["ERRAND_CLOUD_AMQP_TLS_KEY", ["ERRAND_CLOUD_AMQP_TLS_CERTIFICATE"]],
	["ERRAND_CLOUD_OUTSIDE_ISSUER", ["ERRAND_CLOUD_OUTSIDE_AUDIENCE"]],
	["ERRAND_CLOUD_OUTSIDE_AUDIENCE", ["ERRAND_CLOUD_OUTSIDE_ISSUER"]],
];
const s3Variables = ["ENDPOINT", "BUCKET", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY"].map(
	(name) => `ERRAND_CLOUD_S3_${name}` as keyof Variables,
);
type Variables = z.output<typeof configVariables>;

/**
 * Reads the configuration from an environment; an empty variable counts as unset. Variables that do not begin with
 * `ERRAND_CLOUD_` and are not in {@link configVariables} are none of its business. Throws {@link ConfigError}, which
 * names every fault and no value (values may be secrets).
 */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): CloudConfig {
	const given = Object.fromEntries(
		Object.entries(environment).filter(
			([name, value]) =>
				value !== undefined &&
				value !== "" &&
				!foreignVariables.has(name) &&
				(name.startsWith("ERRAND_CLOUD_") || Object.hasOwn(configVariables.shape, name)),
		),
	);
	const parsed = configVariables.safeParse(given);
	const faults = parsed.success ? [] : parsed.error.issues.flatMap(describeIssue);
	for (const [name, needed] of companions) {
		if (given[name] === undefined) continue;
		for (const other of needed) if (given[other] === undefined) faults.push(`${name} needs ${other} beside it.`);
	}
	if (given.ERRAND_CLOUD_BLOBS === "s3") {
		for (const name of s3Variables) if (given[name] === undefined) faults.push(`ERRAND_CLOUD_BLOBS=s3 needs ${name}.`);
	}
	if (!parsed.success || faults.length > 0) throw new ConfigError(faults);
	return freeze(compose(parsed.data));
}

function describeIssue(issue: z.core.$ZodIssue): string[] {
	if (issue.code === "unrecognized_keys") {
		return issue.keys.map((key) => `${key} is not a variable of the cloud.`);
	}
	return [`${issue.path.join(".")} ${issue.message}.`];
}

function compose(v: Variables): CloudConfig {
	const home = v.ERRAND_HOME ?? join(homedir(), ".errand");
	const stateDirectory = resolve(v.ERRAND_CLOUD_STATE_DIRECTORY ?? join(home, "cloud"));
	const brokerPublicUrl = v.ERRAND_CLOUD_AMQP_PUBLIC_URL;
	return {
		host: v.ERRAND_CLOUD_HOST,
		port: v.ERRAND_CLOUD_PORT,
		publicUrl: v.ERRAND_CLOUD_PUBLIC_URL,
		stateDirectory,
		databaseUrl: v.DATABASE_URL,
		broker:
			v.AMQP_URL !== undefined && v.RABBITMQ_MANAGEMENT_URL !== undefined
				? { kind: "rabbitmq", url: v.AMQP_URL, managementUrl: v.RABBITMQ_MANAGEMENT_URL, publicUrl: brokerPublicUrl }
				: {
						kind: "embedded",
						host: v.ERRAND_CLOUD_AMQP_HOST,
						port: v.ERRAND_CLOUD_AMQP_PORT,
						tls:
							v.ERRAND_CLOUD_AMQP_TLS_CERTIFICATE !== undefined && v.ERRAND_CLOUD_AMQP_TLS_KEY !== undefined
								? { certificateFile: v.ERRAND_CLOUD_AMQP_TLS_CERTIFICATE, keyFile: v.ERRAND_CLOUD_AMQP_TLS_KEY }
								: undefined,
						publicUrl: brokerPublicUrl,
					},
		blobs:
			v.ERRAND_CLOUD_BLOBS === "s3"
				? {
						kind: "s3",
						endpoint: v.ERRAND_CLOUD_S3_ENDPOINT ?? "",
						bucket: v.ERRAND_CLOUD_S3_BUCKET ?? "",
						region: v.ERRAND_CLOUD_S3_REGION,
						prefix: v.ERRAND_CLOUD_S3_PREFIX,
						accessKeyId: v.ERRAND_CLOUD_S3_ACCESS_KEY_ID ?? "",
						secretAccessKey: v.ERRAND_CLOUD_S3_SECRET_ACCESS_KEY ?? "",
					}
				: { kind: "directory", directory: resolve(v.ERRAND_CLOUD_BLOB_DIRECTORY ?? join(stateDirectory, "blobs")) },
		outsideIssuer:
			v.ERRAND_CLOUD_OUTSIDE_ISSUER !== undefined && v.ERRAND_CLOUD_OUTSIDE_AUDIENCE !== undefined
				? {
						issuer: v.ERRAND_CLOUD_OUTSIDE_ISSUER,
						audience: v.ERRAND_CLOUD_OUTSIDE_AUDIENCE,
						claims: {
							username: v.ERRAND_CLOUD_OUTSIDE_USERNAME_CLAIM,
							name: v.ERRAND_CLOUD_OUTSIDE_NAME_CLAIM,
							email: v.ERRAND_CLOUD_OUTSIDE_EMAIL_CLAIM,
							scope: v.ERRAND_CLOUD_OUTSIDE_SCOPE_CLAIM,
						},
						requiredScope: v.ERRAND_CLOUD_OUTSIDE_REQUIRED_SCOPE,
						administrators: v.ERRAND_CLOUD_OUTSIDE_ADMINISTRATORS,
					}
				: undefined,
		accessTokenS: v.ERRAND_CLOUD_ACCESS_TOKEN_S,
		rateLimit: { perSecond: v.ERRAND_CLOUD_RATE_LIMIT_PER_S, burst: v.ERRAND_CLOUD_RATE_LIMIT_BURST },
		logLevel: v.ERRAND_CLOUD_LOG_LEVEL,
		trustedProxies: v.ERRAND_CLOUD_TRUSTED_PROXIES,
		corsOrigins: v.ERRAND_CLOUD_CORS_ORIGINS,
		actionProviders: v.ERRAND_CLOUD_ACTION_PROVIDERS,
		retentionMs: v.ERRAND_CLOUD_RETENTION_DAYS * dayMs,
		metricsAccess: v.ERRAND_CLOUD_METRICS_ACCESS,
		warnings: warningsOf(v),
	};
}

function warningsOf(v: Variables): string[] {
	const warnings: string[] = [];
	const url = v.ERRAND_CLOUD_PUBLIC_URL === undefined ? undefined : new URL(v.ERRAND_CLOUD_PUBLIC_URL);
	if (url?.protocol === "http:" && !isLoopback(url.hostname)) {
		warnings.push("ERRAND_CLOUD_PUBLIC_URL is http, so tokens travel in clear: put a proxy with TLS before the cloud.");
	}
	if (url === undefined && !isLoopback(v.ERRAND_CLOUD_HOST)) {
		warnings.push(
			"ERRAND_CLOUD_HOST is open to other machines but ERRAND_CLOUD_PUBLIC_URL is not set: they cannot log in.",
		);
	}
	if (
		v.AMQP_URL === undefined &&
		v.ERRAND_CLOUD_AMQP_TLS_CERTIFICATE === undefined &&
		!isLoopback(v.ERRAND_CLOUD_AMQP_HOST) &&
		!v.ERRAND_CLOUD_AMQP_PUBLIC_URL?.startsWith("amqps:")
	) {
		warnings.push(
			"ERRAND_CLOUD_AMQP_HOST is open to other machines without TLS: set ERRAND_CLOUD_AMQP_TLS_CERTIFICATE and _KEY.",
		);
	}
	return warnings;
}

function freeze<T>(value: T): T {
	if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
		Object.freeze(value);
		for (const inner of Object.values(value)) freeze(inner);
	}
	return value;
}
