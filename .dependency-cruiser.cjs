/** The import law, as in ARCHITECTURE.md. Each rule's comment says why. */
const vendorRoom = (vendor, rooms) => ({
	name: `vendor-room-${vendor.replace(/[^a-z]/g, "-")}`,
	comment: `${vendor} is known to one folder of a package, so that it can be replaced there.`,
	severity: "error",
	from: { pathNot: [...rooms, "\\.test\\.ts$", "\\.contract\\.ts$", "^test/"] },
	to: { path: `(^|/)node_modules/${vendor}(/|$)` },
});
module.exports = {
	forbidden: [
		{
			name: "no-cycles",
			comment: "A cycle cannot be moved or understood in parts.",
			severity: "error",
			from: {},
			to: { circular: true, dependencyTypesNot: ["type-only"], viaOnly: { dependencyTypesNot: ["type-only"] } },
		},
		{
			name: "proto-alone",
			comment: "The contract knows nobody.",
			severity: "error",
			from: { path: "^proto/" },
			to: { path: "^(cloud|endpoint|sdk|test)/" },
		},
		{
			name: "packages-meet-in-proto",
			comment: "Cloud, endpoint and SDK are deployed apart.",
			severity: "error",
			from: { path: "^(cloud|endpoint|sdk)/" },
			to: { path: "^(cloud|endpoint|sdk)/", pathNot: "^$1/" },
		},
		{
			name: "nobody-imports-tests",
			severity: "error",
			from: { pathNot: "^test/|\\.test\\.ts$|\\.contract\\.ts$" },
			to: { path: "^test/|\\.test\\.ts$|\\.contract\\.ts$" },
		},
		{
			name: "operations-import-ports",
			comment: "What the service does is separate from how it talks.",
			severity: "error",
			from: { path: "^cloud/src/operations/", pathNot: "\\.test\\.ts$" },
			to: { path: "^cloud/src/(http|stream|identity)/" },
		},
		{
			name: "policy-is-pure",
			severity: "error",
			from: { path: "^cloud/src/policy/", pathNot: "\\.test\\.ts$" },
			to: { pathNot: "^(cloud/src/policy/|proto/)" },
		},
		{
			name: "interchange-is-pure",
			comment: "State in, reactions out: no sockets, clocks or files.",
			severity: "error",
			from: { path: "^endpoint/src/interchange/", pathNot: "\\.test\\.ts$" },
			to: { pathNot: "^(endpoint/src/interchange/|proto/)" },
		},
		{
			name: "flow-machine-is-pure",
			comment: "A step that is repeated must be the same step.",
			severity: "error",
			from: { path: "^cloud/src/flows/machine/", pathNot: "\\.test\\.ts$" },
			to: { pathNot: "^(cloud/src/flows/machine/|proto/)" },
		},
		{
			name: "compute-node-code",
			comment: "What runs on compute nodes is one small bundle.",
			severity: "error",
			from: { path: "^endpoint/src/(manager|worker)/", pathNot: "\\.test\\.ts$" },
			to: {
				pathNot:
					"^(endpoint/src/(manager|worker)/|endpoint/src/launcher/ranks\\.ts$|proto/|node:)|node_modules/(@grpc/grpc-js|@bufbuild/protobuf)/",
				dependencyTypesNot: ["core", "type-only"],
			},
		},
		vendorRoom("amqplib", ["^cloud/src/broker/", "^endpoint/src/uplink/"]),
		vendorRoom("pg", ["^cloud/src/store/"]),
		vendorRoom("@grpc/grpc-js", ["^endpoint/src/(link|manager)/"]),
		vendorRoom("oidc-provider", ["^cloud/src/identity/"]),
		vendorRoom("jose", ["^cloud/src/identity/"]),
		vendorRoom("nunjucks", ["^endpoint/src/multiuser/"]),
		vendorRoom("ajv", ["^endpoint/src/multiuser/", "^cloud/src/flows/"]),
		vendorRoom("express", ["^cloud/src/(http|identity|web)/"]),
		{
			name: "no-drawers",
			comment: "A folder or file named for nothing collects everything.",
			severity: "error",
			from: {},
			to: { path: "/(util|utils|helper|helpers|common|misc|shared)(/|[.]ts$)", pathNot: "node_modules" },
		},
	],
	options: {
		doNotFollow: { path: "node_modules" },
		exclude: { path: "(^|/)dist/" },
		tsPreCompilationDeps: "specify",
		tsConfig: { fileName: "tsconfig.json" },
		enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default"] },
	},
};
