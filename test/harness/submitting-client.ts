/** A client as a program of its own, to be killed: submits, says where its tasks are, and waits for them. */
import { Executor } from "@errand/sdk";
import { submitWorkload } from "./workload.ts";

const [record = "", count = "0"] = process.argv.slice(2);
const executor = new Executor({ endpoint: "local" });
const futures = submitWorkload(executor, record, Number(count));
await Promise.all(futures.map((future) => future.accepted));
process.stdout.write(`group ${executor.taskGroup}\n`);
await Promise.all(futures);
process.stdout.write("all ended\n");
