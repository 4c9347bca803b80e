import { describe } from "vitest";
import { silentLogger } from "../../service/logger.ts";
import { schedulerContract } from "../scheduler.contract.ts";
import { openLocalScheduler } from "./local.ts";

describe("local scheduler", () => {
	schedulerContract((directory) => openLocalScheduler({ directory, log: silentLogger }), { tellsEnds: true });
});
