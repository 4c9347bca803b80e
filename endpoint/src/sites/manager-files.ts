/**
 * What a new manager endpoint starts with: the settings of the machine as a template, with a few values that people may choose,
 * a schema for these, and the manager's own settings. Text in, texts out.
 */
import { userConfigFiles } from "../multiuser/user-config-files.ts";

interface Choice {
	readonly setting: string;
	/** Where the machine's settings say nothing. */
	readonly fallback?: string;
	readonly schema: (preset: string) => Readonly<Record<string, unknown>>;
}

const word = { type: "string", maxLength: 256, pattern: "^[^\\n\\r]*$" };
/** An administrator knows better; until then nobody takes the whole machine. */
const blocksLimit = 10;

/** What people may say, of the settings that the machine's own configuration has at the top. */
const choices: readonly Choice[] = [
	{ setting: "account", schema: () => word },
	{ setting: "queue", schema: () => word },
	{ setting: "partition", schema: () => word },
	{ setting: "walltime", schema: () => ({ ...word, maxLength: 20 }) },
	{
		setting: "max_blocks",
		fallback: "1",
		schema: (preset) => ({ type: "integer", minimum: 1, maximum: Math.max(Number(preset) || 1, blocksLimit) }),
	},
	{ setting: "worker_init", fallback: '""', schema: () => ({ type: "string", maxLength: 10_000 }) },
];

/** By file name. `config` is the text of a `config.yaml` that an ordinary endpoint would have here. */
export function managerFiles(config: string, name: string): Readonly<Record<string, string>> {
	const properties: Record<string, unknown> = {};
	// What looks like the template language is text of the machine's.
	let template = config.replaceAll(/\{[{%#]|[}%#]\}/g, (braces) => `{{ "${braces}" }}`).trimEnd();
	for (const { setting, fallback, schema } of choices) {
		const line = new RegExp(`^${setting}:[ \\t]*(\\S.*?)?(?=[ \\t]+#|$)`, "m").exec(template);
		const value = line?.[1];
		// A text of several lines stays the administrator's.
		if (value !== undefined && /^[|>&*[{]/.test(value)) continue;
		if (line !== null && value === undefined) continue;
		const preset = value ?? fallback;
		if (preset === undefined) continue;
		const filled = `${setting}: {{ ${setting} | default(${literal(preset)}) }}`;
		template =
			line === null
				? `${template}\n${filled}`
				: template.slice(0, line.index) + filled + template.slice(line.index + line[0].length);
		properties[setting] = schema(preset);
	}
	const schema = {
		$schema: "https://json-schema.org/draft/2020-12/schema",
		type: "object",
		properties,
		additionalProperties: false,
	};
	return {
		"config.yaml": managerConfigText(name),
		[userConfigFiles.template]: `${templateHeader}${template}\n`,
		[userConfigFiles.schema]: `${JSON.stringify(schema, undefined, 2)}\n`,
		[userConfigFiles.environment]: environmentText,
		[`${userConfigFiles.identityMapping}.example`]: `${JSON.stringify(exampleMap, undefined, 2)}\n`,
	};
}

/** As the template language writes a text. */
const literal = (text: string): string => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;

const templateHeader = `{# What everybody's endpoint on this machine is. {{ … }} is filled in with what a person asks for, always quoted;
   user_config_schema.json says what that may be. See docs/templates.md, and try it: errand endpoint render NAME. #}
`;

const managerConfigText = (
	name: string,
): string => `# Settings of the manager endpoint "${name}". What people's endpoints are is in ${userConfigFiles.template}.
# A line that starts with # shows a default; take the # away to change it. Read when the manager starts.

# display_name: ${JSON.stringify(name)}
# public: false

# Nothing else is run here, whatever the template says: ids of functions.
# allowed_functions: []

# Processes of people at the same time.
# max_user_endpoints: 64
# Of them, those of one account; 0: no limit of its own.
# max_user_endpoints_per_account: 8
# What those of one account may add to audit.log in an hour; further lines are counted.
# audit_lines_per_hour: 200000
# From the start of a process until its template is filled in.
# start_limit: 30s
# Between SIGTERM and SIGKILL when they are ended.
# grace_period: 20s
# If true, stopping the manager leaves them alone; the next start finds them.
# keep_user_endpoints: false

# log_level: info     # debug, info, warn, error
`;

const environmentText = `# Environment variables that people's endpoints start with, besides PATH, HOME, USER, LOGNAME, SHELL and LANG.
# PATH: /opt/site/bin:/usr/local/bin:/usr/bin:/bin
# SITE_SCRATCH: /scratch
`;

const exampleMap = [
	{
		DATA_TYPE: "expression_identity_mapping#1.0.0",
		mappings: [{ source: "{username}", match: "(.*)@example\\.org", output: "{0}" }],
	},
];
