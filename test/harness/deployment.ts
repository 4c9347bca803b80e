import { TestCloud } from "./cloud.ts";
import { startPostgres } from "./postgres.ts";
import { startRabbitmq } from "./rabbitmq.ts";

/** The two deployments that everything must work on. */
export const deploymentNames = ["embedded", "full"] as const;
export type DeploymentName = (typeof deploymentNames)[number];

/** A cloud and the servers under it. `full`: RabbitMQ and PostgreSQL as servers of their own. */
export interface Deployment {
	readonly name: DeploymentName;
	readonly cloud: TestCloud;
	/** Absent when the part is embedded in the cloud. */
	readonly broker?: Awaited<ReturnType<typeof startRabbitmq>>;
	readonly database?: Awaited<ReturnType<typeof startPostgres>>;
	stop(): Promise<void>;
}

export async function startDeployment(name: DeploymentName, environment: NodeJS.ProcessEnv = {}): Promise<Deployment> {
	if (name === "embedded") {
		const cloud = await TestCloud.start(environment);
		return { name, cloud, stop: () => cloud.stop() };
	}
	const [broker, database] = await Promise.all([startRabbitmq(), startPostgres()]);
	const stopServers = () => Promise.all([broker.stop(), database.stop()]);
	const cloud = await TestCloud.start({
		DATABASE_URL: database.url,
		AMQP_URL: broker.amqpUrl,
		RABBITMQ_MANAGEMENT_URL: broker.managementUrl,
		...environment,
	}).catch(async (error: unknown) => {
		await stopServers();
		throw error;
	});
	return {
		name,
		cloud,
		broker,
		database,
		async stop() {
			try {
				await cloud.stop();
			} finally {
				await stopServers();
			}
		},
	};
}
