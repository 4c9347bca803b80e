/** The main job: 20,000 flights analysed on the endpoint by functions in three languages. */
import { fileURLToPath } from "node:url";
import { formatDuration } from "../../sdk/cli/duration.ts";
import type { Column } from "../../sdk/cli/table.ts";
import { formatTable } from "../../sdk/cli/table.ts";
import { type Client, Executor, python, RemoteError, shell } from "../../sdk/src/index.ts";
import { airportsPath, delaysByHour, flightsSource, pieces, readAirportNames, readFlights } from "./data.ts";
import { type AirportDelay, addUp, busiestAirport, delayByAirport } from "./flights.ts";
import { openProgress } from "./progress.ts";

/** One task for so many flights: 200 tasks, enough to see them spread over the workers. */
const flightsInPiece = 100;
/** An airport with fewer flights in the sample says little. */
const leastFlights = 200;

interface HourOfDay {
	flights: number;
	median: number;
	p90: number;
	on_time: number;
}

/** `onFirstResult` is called once, when the first result is here. Rejects when anything but the planned failure fails. */
export async function runJob(
	client: Client,
	endpoint: string,
	out: NodeJS.WriteStream,
	onFirstResult: () => void,
): Promise<void> {
	await using executor = new Executor({ endpoint, client });
	const line = (text = ""): void => void out.write(`${text}\n`);
	const answer = await executor.submit((a: number, b: number) => a + b, 2, 3);
	onFirstResult();
	line(`  (a, b) => a + b with 2 and 3 gave ${answer}.`);

	const flights = readFlights();
	line();
	line(`${flights.length.toLocaleString("en")} records: ${flightsSource.says}`);
	line(`(${flightsSource.file}; ${flightsSource.publisher}).`);
	line();
	const byAirport = await mapWithProgress(out, "TypeScript", pieces(flights, flightsInPiece), (all) =>
		executor.map(delayByAirport, all, { ordered: false }),
	);
	const hours = delaysByHour(flights);
	const describe = python<[number[]], HourOfDay>({
		file: fileURLToPath(new URL("flights.py", import.meta.url)),
		name: "describe",
	});
	const byHour = await mapWithProgress(
		out,
		"Python    ",
		hours.map(([, delays]) => delays),
		(all) => executor.map(describe, all),
	);
	const states = shell(
		"awk -F, 'NR > 1 && $NF != \"\" {{ n[$(NF-3)]++ }} END {{ for (s in n) print n[s], s }}' {path} | sort -rn | head -5",
	);
	const commandStarted = performance.now();
	const { stdout } = await executor.submit(states, { path: airportsPath });
	line(`  shell       awk | sort | head on airports.csv in ${formatDuration(performance.now() - commandStarted)}`);

	line();
	line(
		`Airports by share of flights from there that came late (over 15 minutes; ${leastFlights} flights or more), TypeScript:`,
	);
	line(indent(formatTable(worstAirports(addUp(byAirport)), airportColumns(readAirportNames()))));
	line();
	line("Delay by hour of departure, Python:");
	line(
		indent(formatTable(everyThird(hours.map(([hour], at) => ({ hour, ...(byHour[at] as HourOfDay) }))), hourColumns)),
	);
	line();
	line("Airports by state (airports.csv: Data.gov), shell:");
	line(indent(stdout.trimEnd()));

	line();
	line("And a function that fails, on purpose; this is what its caller sees:");
	line(indent(await remoteStackOf(executor)));
}

async function mapWithProgress<Item, Result>(
	out: NodeJS.WriteStream,
	name: string,
	items: readonly Item[],
	map: (items: readonly Item[]) => AsyncIterable<Result>,
): Promise<Result[]> {
	const progress = openProgress(`${name}  ${items.length} tasks`.padEnd(22), items.length, out);
	const results: Result[] = [];
	for await (const result of map(items)) {
		results.push(result);
		progress.step();
	}
	progress.end();
	return results;
}

async function remoteStackOf(executor: Executor): Promise<string> {
	try {
		await executor.submit(busiestAirport, []);
	} catch (error) {
		if (error instanceof RemoteError)
			return `${error.name} from ${error.host}, task ${error.taskId}\n${error.remoteStack.trimEnd()}`;
		throw error;
	}
	throw new Error("the function that was to fail did not");
}

type AirportRow = readonly [code: string, sums: AirportDelay];

function worstAirports(sums: ReadonlyMap<string, AirportDelay>): AirportRow[] {
	return [...sums]
		.filter(([, { flights }]) => flights >= leastFlights)
		.sort(([, a], [, b]) => b.late / b.flights - a.late / a.flights)
		.slice(0, 8);
}

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

const airportColumns = (names: ReadonlyMap<string, string>): Column<AirportRow>[] => [
	{ title: "airport", cell: ([code]) => code },
	{ title: "name", cell: ([code]) => (names.get(code) ?? "").slice(0, 44) },
	{ title: "flights", align: "right", cell: ([, { flights }]) => String(flights) },
	{ title: "late", align: "right", cell: ([, { late, flights }]) => percent(late / flights) },
	{
		title: "mean delay",
		align: "right",
		cell: ([, { delayMinutes, flights }]) => `${(delayMinutes / flights).toFixed(1)} min`,
	},
];

const hourColumns: Column<HourOfDay & { hour: number }>[] = [
	{ title: "hour", align: "right", cell: ({ hour }) => `${hour}:00` },
	{ title: "flights", align: "right", cell: ({ flights }) => String(flights) },
	{ title: "on time", align: "right", cell: (row) => percent(row.on_time) },
	{ title: "median", align: "right", cell: ({ median }) => `${median} min` },
	{ title: "one in ten later than", align: "right", cell: ({ p90 }) => `${p90} min` },
];

/** The night has few flights; three hours apart shows the day. */
const everyThird = <Row extends { hour: number }>(rows: readonly Row[]): Row[] =>
	rows.filter(({ hour }) => hour >= 6 && hour % 3 === 0);

const indent = (text: string): string => text.replace(/^/gm, "  ");
