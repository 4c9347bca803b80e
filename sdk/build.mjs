/**
 * `dist/`: what is published: one bundle for Node, one for browsers, and types. The contract is bundled in, other
 * dependencies stay dependencies.
 */
import { execFileSync } from "node:child_process";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = dirname(fileURLToPath(import.meta.url));
const repository = dirname(root);
const dist = join(root, "dist");
const own = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
const contract = JSON.parse(await readFile(join(repository, "proto/package.json"), "utf8"));

/** The contract is bundled, so its dependencies become ours; the command line's are not needed by the library. */
const commandLineOnly = new Set(["@errand/proto", "commander", "yaml"]);
const dependencies = Object.fromEntries(
	Object.entries({ ...own.dependencies, ...contract.dependencies })
		.filter(([name]) => !commandLineOnly.has(name))
		.sort(([a], [b]) => (a < b ? -1 : 1)),
);

await rm(dist, { recursive: true, force: true });
await mkdir(dist);

const options = {
	absWorkingDir: root,
	bundle: true,
	format: "esm",
	target: "es2022",
	sourcemap: true,
	logLevel: "warning",
};
const external = Object.keys(dependencies);
await build({ ...options, entryPoints: ["src/index.ts"], outfile: "dist/index.js", platform: "node", external });
await build({ ...options, entryPoints: ["src/index.ts"], outfile: "dist/browser.js", platform: "browser", external });

await emitTypes();
await cp(join(repository, "LICENSE"), join(dist, "LICENSE"));
await writeFile(join(dist, "package.json"), `${JSON.stringify(published(), undefined, "\t")}\n`);

/** Declarations of the SDK and of the contract beside one another, the contract named by relative paths. */
async function emitTypes() {
	const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
	const project = join(dist, "tsconfig.json");
	const types = join(dist, "types");
	await writeFile(
		project,
		JSON.stringify({
			extends: join(repository, "tsconfig.base.json"),
			compilerOptions: {
				noEmit: false,
				declaration: true,
				emitDeclarationOnly: true,
				outDir: types,
				rootDir: repository,
			},
			files: [join(root, "src/index.ts")],
		}),
	);
	execFileSync(process.execPath, [tsc, "-p", project], { stdio: "inherit" });
	await rm(project);
	await cp(join(repository, "proto/src/gen"), join(types, "proto/src/gen"), {
		recursive: true,
		filter: (source) => !source.endsWith(".js"),
	});
	const entries = {
		"@errand/proto": "index",
		"@errand/proto/flow": "flow/index",
		"@errand/proto/rest": "rest/index",
		"@errand/proto/wire": "wire",
	};
	for (const entry of await readdir(types, { recursive: true })) {
		if (!entry.endsWith(".d.ts")) continue;
		const file = join(types, entry);
		const text = await readFile(file, "utf8");
		const named = text
			.replaceAll(/"(@errand\/proto(?:\/\w+)?)"/g, (_, name) => {
				const target = relative(dirname(file), join(types, "proto/src", `${entries[name]}.js`));
				return JSON.stringify(target.startsWith(".") ? target : `./${target}`);
			})
			.replaceAll(/(["'])(\.{1,2}\/[^"']+)\.ts\1/g, "$1$2.js$1");
		if (named !== text) await writeFile(file, named);
	}
}

function published() {
	const { bin: _, exports: __, imports: ___, devDependencies: ____, scripts: _____, private: ______, ...rest } = own;
	return {
		...rest,
		exports: {
			".": { types: "./types/sdk/src/index.d.ts", browser: "./browser.js", default: "./index.js" },
		},
		files: ["index.js", "index.js.map", "browser.js", "browser.js.map", "types", "LICENSE"],
		sideEffects: false,
		engines: { node: ">=22" },
		dependencies,
	};
}
