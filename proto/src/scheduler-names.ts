/** Who gives nodes to an endpoint; the words of its configuration, of its heartbeats and of the command line. */
export const schedulerNames = [
	"local",
	"slurm",
	"pbs",
	"torque",
	"gridengine",
	"lsf",
	"htcondor",
	"flux",
	"kubernetes",
	"ssh",
] as const;

export type SchedulerName = (typeof schedulerNames)[number];
