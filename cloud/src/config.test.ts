import { expect, test } from "vitest";
import { ConfigError, configVariables, readConfig } from "./config.ts";

const faultsOf = (environment: Record<string, string>): readonly string[] => {
	try {
		readConfig(environment);
	} catch (error) {
		if (error instanceof ConfigError) return error.faults;
		throw error;
	}
	return [];
};

test("an empty environment gives the embedded cloud on this machine's port 5000", () => {
	const config = readConfig({ HOME: "/home/ada", PATH: "/bin", ERRAND_CLOUD_URL: "http://localhost:5000" });
	expect(config).toMatchObject({
		host: "127.0.0.1",
		port: 5000,
		databaseUrl: undefined,
		broker: { kind: "embedded", host: "127.0.0.1", port: 5672 },
		blobs: { kind: "directory" },
		outsideIssuer: undefined,
		metricsAccess: "loopback",
		retentionMs: 14 * 24 * 3600 * 1000,
		warnings: [],
	});
	expect(config.stateDirectory).toMatch(/\.errand\/cloud$/);
});

test("a full deployment is read from the environment, lists split and slashes trimmed", () => {
	const config = readConfig({
		ERRAND_HOME: "/srv/errand",
		ERRAND_CLOUD_PUBLIC_URL: "https://errand.example.org/",
		ERRAND_CLOUD_PORT: "8080",
		DATABASE_URL: "postgres://u:p@db/errand",
		AMQP_URL: "amqp://u:p@mq/",
		RABBITMQ_MANAGEMENT_URL: "http://u:p@mq:15672",
		ERRAND_CLOUD_BLOBS: "s3",
		ERRAND_CLOUD_S3_ENDPOINT: "https://s3.example.org",
		ERRAND_CLOUD_S3_BUCKET: "errand",
		ERRAND_CLOUD_S3_ACCESS_KEY_ID: "id",
		ERRAND_CLOUD_S3_SECRET_ACCESS_KEY: "key",
		ERRAND_CLOUD_OUTSIDE_ISSUER: "https://example.auth0.com/",
		ERRAND_CLOUD_OUTSIDE_AUDIENCE: "errand",
		ERRAND_CLOUD_TRUSTED_PROXIES: "10.0.0.0/8, 127.0.0.1,fd00::/8",
		ERRAND_CLOUD_CORS_ORIGINS: "https://app.example.org",
		ERRAND_CLOUD_RETENTION_DAYS: "3",
	});
	expect(config).toMatchObject({
		publicUrl: "https://errand.example.org",
		port: 8080,
		stateDirectory: "/srv/errand/cloud",
		broker: { kind: "rabbitmq", url: "amqp://u:p@mq/", managementUrl: "http://u:p@mq:15672" },
		blobs: { kind: "s3", endpoint: "https://s3.example.org", bucket: "errand", region: "us-east-1" },
		outsideIssuer: {
			issuer: "https://example.auth0.com/",
			audience: "errand",
			claims: { username: "preferred_username", scope: "scope" },
			administrators: [],
		},
		trustedProxies: ["10.0.0.0/8", "127.0.0.1", "fd00::/8"],
		retentionMs: 3 * 24 * 3600 * 1000,
	});
});

test("every fault is reported at once, by the variable's name and without its value", () => {
	const faults = faultsOf({
		ERRAND_CLOUD_PORT: "70000",
		ERRAND_CLOUD_PROT: "5000",
		ERRAND_CLOUD_LOG_LEVEL: "loud",
		ERRAND_CLOUD_PUBLIC_URL: "errand.example.org",
		ERRAND_CLOUD_TRUSTED_PROXIES: "10.0.0.0/99",
		ERRAND_CLOUD_CORS_ORIGINS: "https://app.example.org/path",
		DATABASE_URL: "mysql://u:very-secret@db/errand",
		AMQP_URL: "amqp://u:p@mq/",
		ERRAND_CLOUD_BLOBS: "s3",
		ERRAND_CLOUD_S3_BUCKET: "errand",
	});
	for (const name of [
		"ERRAND_CLOUD_PORT is more than 65535",
		"ERRAND_CLOUD_PROT is not a variable",
		"ERRAND_CLOUD_LOG_LEVEL is none of",
		"ERRAND_CLOUD_PUBLIC_URL is not a URL",
		"ERRAND_CLOUD_TRUSTED_PROXIES is not",
		"ERRAND_CLOUD_CORS_ORIGINS is not",
		"DATABASE_URL is not a URL that starts with postgres:// or postgresql://",
		"AMQP_URL needs RABBITMQ_MANAGEMENT_URL",
		"ERRAND_CLOUD_BLOBS=s3 needs ERRAND_CLOUD_S3_ENDPOINT",
		"ERRAND_CLOUD_BLOBS=s3 needs ERRAND_CLOUD_S3_SECRET_ACCESS_KEY",
	]) {
		expect(faults.filter((fault) => fault.startsWith(name))).toHaveLength(1);
	}
	expect(faults.join()).not.toContain("very-secret");
});

test("an empty variable counts as unset, and nobody can change the configuration afterwards", () => {
	const config = readConfig({ ERRAND_CLOUD_PORT: "", DATABASE_URL: "" });
	expect(config.port).toBe(5000);
	expect(Object.isFrozen(config) && Object.isFrozen(config.broker) && Object.isFrozen(config.corsOrigins)).toBe(true);
});

test("what is allowed but unwise is told", () => {
	expect(readConfig({ ERRAND_CLOUD_PUBLIC_URL: "http://errand.example.org" }).warnings).toHaveLength(1);
	expect(readConfig({ ERRAND_CLOUD_HOST: "0.0.0.0" }).warnings).toHaveLength(1);
	const open = { ERRAND_CLOUD_AMQP_HOST: "0.0.0.0" };
	expect(readConfig(open).warnings).toHaveLength(1);
	expect(readConfig({ ...open, ERRAND_CLOUD_AMQP_PUBLIC_URL: "amqps://mq.example.org" }).warnings).toHaveLength(0);
});

test("every variable of the cloud is an ERRAND_ one or one that databases and brokers are known by", () => {
	for (const name of Object.keys(configVariables.shape)) {
		expect(name).toMatch(/^(ERRAND_HOME|ERRAND_CLOUD_[A-Z0-9_]+|DATABASE_URL|AMQP_URL|RABBITMQ_MANAGEMENT_URL)$/);
	}
});
