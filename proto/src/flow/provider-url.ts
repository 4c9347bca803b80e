/** Addresses of action providers: somebody's `https://…`, or one of the service's own. */

/** The service's own providers: what each does. A Globus flow names them instead of the hosted ones. */
export const ownProviders = {
	"errand:compute": "runs registered functions on endpoints",
	"errand:transfer": "moves files between endpoints",
	"errand:approval": "waits until one of the named people has chosen an option",
} as const satisfies Record<string, string>;

export type OwnProviderUrl = keyof typeof ownProviders;

export function isOwnProvider(url: string): url is OwnProviderUrl {
	return Object.hasOwn(ownProviders, url);
}

/** Why a text is no provider's address; undefined when it is one. */
export function actionUrlObstacle(text: string): string | undefined {
	if (isOwnProvider(text)) return undefined;
	if (text.startsWith("errand:"))
		return `the service has no provider ${JSON.stringify(text)}: it has ${Object.keys(ownProviders).join(", ")}`;
	const url = URL.canParse(text) ? new URL(text) : undefined;
	if (url?.protocol !== "https:" && url?.protocol !== "http:")
		return `${JSON.stringify(text)} is not an address: write https://…, or one of ${Object.keys(ownProviders).join(", ")}`;
	if (url.username !== "" || url.password !== "") return "an address has no user name or password in it";
	return undefined;
}
