import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseConfig } from "../config/config.ts";
import { batchScript } from "../scheduler/batch-script.ts";
import { shownScript } from "./shown-script.ts";

test("the script of a queue's block is shown whole, with a placeholder for the token", async () => {
	const directory = mkdtempSync(join(tmpdir(), "errand-script-"));
	try {
		writeFileSync(join(directory, "link-port"), "7654\n");
		const config = parseConfig(
			"scheduler: slurm\nworker_init: module load x\nlink_addresses: [10.0.0.1]\nqueues:\n  - name: a\n  - name: b\n    account: m1\n",
			"config.yaml",
			directory,
		);
		const show = (queue: string | undefined) =>
			shownScript({
				directory,
				config,
				scheduler: { script: (spec) => batchScript(spec, [`#SBATCH --account=${spec.queue.account}`], "srun") },
				managerProgram: "/opt/errand/manager.mjs",
				queue,
			});
		const script = await show("b");
		expect(script).toMatch(/^#!\/bin\/bash\n#SBATCH --account=m1\n/);
		expect(script).toMatch(/ERRAND_LINK_ADDRESS='?10\.0\.0\.1:7654/);
		expect(script).toMatch(/ERRAND_BLOCK_TOKEN='\(the token of the block\)'/);
		expect(script).toMatch(/module load x\n.*\/opt\/errand\/manager\.mjs/);
		expect(await show(undefined)).toMatch(/--account=undefined/);
		await expect(show("c")).rejects.toThrow(/no queue "c" in config\.yaml; there are: a, b/);
	} finally {
		rmSync(directory, { recursive: true });
	}
});
