/** A browser without a screen: keeps cookies, follows redirects, fills in the forms that the pages have. */
export interface Page {
	readonly url: URL;
	readonly status: number;
	readonly html: string;
}

export class FormBrowser {
	readonly #cookies = new Map<string, { value: string; path: string }>();

	async open(url: string | URL, form?: URLSearchParams): Promise<Page> {
		let next = new URL(url);
		let body = form;
		for (let hops = 0; hops < 10; hops++) {
			const response = await fetch(next, {
				redirect: "manual",
				method: body === undefined ? "GET" : "POST",
				headers: { accept: "text/html", cookie: this.#cookiesFor(next) },
				...(body === undefined ? {} : { body }),
			});
			this.#keep(response, next);
			const location = response.headers.get("location");
			if (location === null) return { url: next, status: response.status, html: await response.text() };
			await response.arrayBuffer();
			next = new URL(location, next);
			body = undefined;
		}
		throw new Error(`too many redirects, last to ${next.href}`);
	}

	/** Sends the page's nth form with its hidden fields and these. */
	async submit(page: Page, fields: Record<string, string> = {}, index = 0): Promise<Page> {
		const [, attributes, inner] = [...page.html.matchAll(/<form([^>]*)>([\s\S]*?)<\/form>/g)][index] ?? [];
		const action = /action="([^"]*)"/.exec(attributes ?? "")?.[1];
		if (action === undefined || inner === undefined) throw new Error(`no form ${index} in ${page.html}`);
		const form = new URLSearchParams();
		for (const [input] of inner.matchAll(/<input[^>]*type="hidden"[^>]*>/g)) {
			form.set(/name="([^"]*)"/.exec(input)?.[1] ?? "", /value="([^"]*)"/.exec(input)?.[1] ?? "");
		}
		for (const [name, value] of Object.entries(fields)) form.set(name, value);
		return await this.open(new URL(action, page.url), form);
	}

	#cookiesFor(url: URL): string {
		return [...this.#cookies]
			.filter(([, cookie]) => url.pathname.startsWith(cookie.path))
			.map(([key, cookie]) => `${key.split(" ")[0]}=${cookie.value}`)
			.join("; ");
	}

	#keep(response: Response, url: URL): void {
		for (const line of response.headers.getSetCookie()) {
			const [pair, ...attributes] = line.split(/; */);
			const [name, value] = (pair as string).split(/=(.*)/s) as [string, string];
			const path = attributes.find((text) => text.toLowerCase().startsWith("path="))?.slice(5) ?? url.pathname;
			const key = `${name} ${path}`;
			if (value === "") this.#cookies.delete(key);
			else this.#cookies.set(key, { value, path });
		}
	}
}
