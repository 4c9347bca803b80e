/** The files that an endpoint consists of, one bundle each: hundreds of nodes open one file, not a tree. */
import { copyFile, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { build, type Plugin } from "esbuild";

const root = join(import.meta.dirname, "../..");

/** Bundle → its entry in the repository. */
const bundles = {
	"errand.mjs": "sdk/cli/main.ts",
	"endpoint.mjs": "endpoint/src/main.ts",
	"manager.mjs": "endpoint/src/manager/main.ts",
	"worker.mjs": "endpoint/src/worker/main.ts",
	"transfer.mjs": "endpoint/src/transfer/main.ts",
} as const;

type BundleName = keyof typeof bundles;

const pythonWorker = "endpoint/src/worker/python/worker.py";

/** Packages written for CommonJS ask for `require`. */
const banner = `import { createRequire as errandCreateRequire } from "node:module"; const require = errandCreateRequire(import.meta.url);`;

/** esbuild is a native program of its own: the archive for a login node does without, and says so where it is asked for. */
const withoutEsbuild: Plugin = {
	name: "without-esbuild",
	setup(here) {
		here.onResolve({ filter: /^esbuild$/ }, () => ({ path: "esbuild", namespace: "left-out" }));
		here.onLoad({ filter: /.*/, namespace: "left-out" }, () => ({
			contents: `const refuse = () => { throw new Error("Bundling TypeScript modules is not part of the endpoint archive: submit from a computer with @errand/sdk installed"); };
				export const build = refuse, transform = refuse, buildSync = refuse, transformSync = refuse, context = refuse, stop = refuse; export default { build, transform, buildSync, transformSync, context, stop };`,
		}));
	},
};

/** Writes the named bundles, the Python worker beside the Node.js one, and the sites beside the daemon, into `directory`. */
export async function writeBundles(directory: string, names = Object.keys(bundles) as BundleName[]): Promise<void> {
	for (const name of names)
		await build({
			entryPoints: [join(root, bundles[name])],
			outfile: join(directory, name),
			bundle: true,
			platform: "node",
			format: "esm",
			target: "node24",
			mainFields: ["module", "main"],
			external: ["pg-native", "bufferutil", "utf-8-validate"],
			banner: { js: banner },
			keepNames: true,
			legalComments: "none",
			logLevel: "error",
			plugins: [withoutEsbuild],
		});
	if (names.includes("endpoint.mjs")) await copySites(join(directory, "sites"));
	if (names.includes("worker.mjs")) await copyFile(join(root, pythonWorker), join(directory, "worker.py"));
}

async function copySites(directory: string): Promise<void> {
	const from = join(root, "deploy/sites");
	await mkdir(directory, { recursive: true });
	for (const file of await readdir(from))
		if (file.endsWith(".yaml")) await copyFile(join(from, file), join(directory, file));
}
