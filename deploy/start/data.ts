/** The public data of the main job, from the npm package `vega-datasets`. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Flight } from "./flights.ts";

const folder = new URL("../../node_modules/vega-datasets/data/", import.meta.url);

export const flightsSource = {
	file: "flights-20k.json",
	says: "US domestic flights, January to March 2001, of the npm package vega-datasets",
	publisher: "U.S. Bureau of Transportation Statistics, on-time performance (14 CFR 234)",
};
export const airportsPath = fileURLToPath(new URL("airports.csv", folder));

export function readFlights(): Flight[] {
	return JSON.parse(readFileSync(new URL(flightsSource.file, folder), "utf8")) as Flight[];
}

/** Code → name and city, for tables. Names with a comma in quotes are read up to it: good enough to be shown. */
export function readAirportNames(): Map<string, string> {
	const names = new Map<string, string>();
	for (const line of readFileSync(airportsPath, "utf8").split("\n").slice(1)) {
		const [code, name, city] = line.split(",");
		if (code && name) names.set(code, `${name.replaceAll('"', "")}, ${city ?? ""}`);
	}
	return names;
}

export function pieces<Item>(items: readonly Item[], size: number): Item[][] {
	const found: Item[][] = [];
	for (let at = 0; at < items.length; at += size) found.push(items.slice(at, at + size));
	return found;
}

/** Delays by the hour of departure, 0 to 23; hours without a flight are left out. */
export function delaysByHour(flights: readonly Flight[]): [hour: number, delays: number[]][] {
	const hours: number[][] = Array.from({ length: 24 }, () => []);
	for (const { date, delay } of flights) hours[Number(date.slice(11, 13))]?.push(delay);
	return [...hours.entries()].filter(([, delays]) => delays.length > 0);
}
