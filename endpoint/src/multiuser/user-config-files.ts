/** The files of a manager endpoint. */
import { existsSync } from "node:fs";
import { join } from "node:path";

/** What an administrator may put into an endpoint's directory beside `config.yaml`, under the field's own names. */
export const userConfigFiles = {
	template: "user_config_template.yaml.j2",
	schema: "user_config_schema.json",
	identityMapping: "identity_mapping.json",
	environment: "user_environment.yaml",
} as const;

/** Its template makes a directory that of a manager endpoint, which starts endpoints for people and runs no tasks itself. */
export const isManagerDirectory = (directory: string): boolean => existsSync(join(directory, userConfigFiles.template));
