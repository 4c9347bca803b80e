/**
 * After a crash of this program: all futures of a task group again, finished or not.
 *
 *     npx node sdk/examples/reload.ts TASK-GROUP
 */
import { Executor, TaskError } from "@errand/sdk";

const [taskGroup] = process.argv.slice(2);
if (taskGroup === undefined) throw new Error("say which task group: errand task show last prints one");
await using futures = await Executor.reload({ taskGroup });
for (const future of futures) {
	try {
		console.log(future.taskId, await future);
	} catch (error) {
		if (!(error instanceof TaskError)) throw error;
		console.log(future.taskId, error.message);
	}
}
