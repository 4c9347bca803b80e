import { defineConfig } from "vitest/config";

export default defineConfig({
	test: {
		pool: "forks",
		testTimeout: 30_000,
		hookTimeout: 120_000,
		projects: [
			{ extends: true, test: { name: "proto", include: ["proto/src/**/*.test.ts"] } },
			{ extends: true, test: { name: "cloud", include: ["cloud/src/**/*.test.ts"] } },
			{ extends: true, test: { name: "endpoint", include: ["endpoint/src/**/*.test.ts"] } },
			{ extends: true, test: { name: "sdk", include: ["sdk/{src,cli}/**/*.test.ts"] } },
			{
				extends: true,
				test: {
					name: "whole",
					include: ["test/**/*.test.ts", "deploy/**/*.test.ts"],
					exclude: ["test/load/**", "test/patient/**", "test/peers/**", "test/schedulers/**"],
					fileParallelism: false,
				},
			},
			{
				extends: true,
				test: { name: "patient", include: ["test/{patient,peers,schedulers}/**/*.test.ts"], fileParallelism: false },
			},
		],
	},
});
