/** The functions in TypeScript that the main job runs on the endpoint. Each is complete in itself: it travels alone. */

export interface Flight {
	/** `2001/01/01 00:47`, departure in local time. */
	date: string;
	/** Minutes late on arrival; negative is early. */
	delay: number;
	/** Miles. */
	distance: number;
	origin: string;
	destination: string;
}

export interface AirportDelay {
	flights: number;
	/** More than 15 minutes, as the Bureau counts. */
	late: number;
	delayMinutes: number;
}

/** Partial sums by airport of departure; runs once for each piece of the data. */
export function delayByAirport(flights: Flight[]): Map<string, AirportDelay> {
	const sums = new Map<string, AirportDelay>();
	for (const { origin, delay } of flights) {
		const sum = sums.get(origin) ?? { flights: 0, late: 0, delayMinutes: 0 };
		sum.flights += 1;
		sum.delayMinutes += delay;
		if (delay > 15) sum.late += 1;
		sums.set(origin, sum);
	}
	return sums;
}

/** Fails on purpose, inside a function that it calls, so that the remote stack has something to show. */
export function busiestAirport(flights: Flight[]): string {
	function pickBusiest(counts: Record<string, number>): string {
		const [first] = Object.entries(counts).sort(([, a], [, b]) => b - a);
		if (first === undefined) throw new RangeError(`no flight to count: the list has ${flights.length} items`);
		return first[0];
	}
	const counts: Record<string, number> = {};
	for (const { origin } of flights) counts[origin] = (counts[origin] ?? 0) + 1;
	return pickBusiest(counts);
}

/** Adds partial sums up, on this side. */
export function addUp(parts: readonly Map<string, AirportDelay>[]): Map<string, AirportDelay> {
	const all = new Map<string, AirportDelay>();
	for (const part of parts)
		for (const [airport, { flights, late, delayMinutes }] of part) {
			const sum = all.get(airport) ?? { flights: 0, late: 0, delayMinutes: 0 };
			sum.flights += flights;
			sum.late += late;
			sum.delayMinutes += delayMinutes;
			all.set(airport, sum);
		}
	return all;
}
