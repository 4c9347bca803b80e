/**
 * A shell that waits for the manager's death and then ends what the manager cannot any more: `kill -9` of a manager
 * leaves no process. It is told the workers' process groups on its standard input; end of file is its signal.
 */
import { spawn } from "node:child_process";

export const managerMarker = "ERRAND_MANAGER_ID";

const script = `
groups=
while read -r line; do groups=$line; done
for round in 1 2 3; do
	for group in $groups; do kill -KILL "-$group" 2>/dev/null; done
	for file in $(grep -lsa "${managerMarker}=$1" /proc/[0-9]*/environ 2>/dev/null); do
		pid=\${file#/proc/}; kill -KILL "\${pid%/environ}" 2>/dev/null
	done
done
rm -rf -- "$2"
`;

export interface Sentinel {
	/** The process groups that would have to end now. */
	guard(groups: Iterable<number>): void;
	/** Everything has ended orderly. */
	close(): void;
}

/** @param directory removed when the manager has died */
export function openSentinel(managerId: string, directory: string): Sentinel {
	const child = spawn("/bin/sh", ["-c", script, "errand-sentinel", managerId, directory], {
		detached: true,
		cwd: "/",
		stdio: ["pipe", "ignore", "ignore"],
		env: { PATH: process.env.PATH ?? "/usr/bin:/bin" },
	});
	child.stdin.on("error", () => {}); // it was killed: managers still end their workers themselves
	child.on("error", () => {});
	child.unref();
	return {
		guard: (groups) => {
			child.stdin.write(`${[...groups].join(" ")}\n`);
		},
		close: () => {
			child.stdin.end("\n");
		},
	};
}
