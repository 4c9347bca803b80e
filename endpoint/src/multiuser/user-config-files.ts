/** What an administrator may put into an endpoint's directory beside `config.yaml`, under the field's own names. */
export const userConfigFiles = {
	template: "user_config_template.yaml.j2",
	schema: "user_config_schema.json",
	identityMapping: "identity_mapping.json",
	environment: "user_environment.yaml",
} as const;
