/** The `config.yaml` that a new endpoint starts with: every setting, said in the words of the field. */
export function defaultConfigText(name: string): string {
	return `# Settings of the endpoint "${name}". A line that starts with # shows a default; take the # away to change it.
# The endpoint reads this file when it starts. Times are like 30s, 10m, 2h; sizes like 512MiB, 16GB.

# How people see this endpoint.
# display_name: ${JSON.stringify(name)}

# Who gives nodes: "local" is this machine.
scheduler: local

# --- What one node has ---------------------------------------------------------------------------------------------
# Tasks that run at the same time on a node; as many as it has cores unless told.
# workers_per_node: 4
# What tasks may ask for; this machine's own numbers unless told.
# cores_per_node: 4
# memory_per_node: 16GB
# GPUs, as a number or as a list of device ids. Each is given to one task at a time.
# available_accelerators: 2
# available_accelerators: ["0", "1"]

# --- What tasks find there -----------------------------------------------------------------------------------------
# Shell lines that run before the workers start: modules, conda, variables.
# worker_init: |
#   module load python/3.11
#   source ~/venv/bin/activate
# Environment variables for workers.
# environment:
#   OMP_NUM_THREADS: "1"
# The Python that runs Python functions, found on the PATH after worker_init.
# python: python3
# Where tasks run: each in a directory of its own below this one (sandbox: true), or all in it.
# working_directory: /scratch/errand
# sandbox: true
# How much of a task's stdout and stderr is carried and kept, each.
# output_cap: 1MiB

# --- How many blocks -----------------------------------------------------------------------------------------------
# A block is one request to the scheduler: nodes that come and go together.
# init_blocks: 1      # when the endpoint starts
# min_blocks: 0       # never fewer
# max_blocks: 1       # never more
# A block without tasks for this long is given back, down to min_blocks.
# idle_timeout: 10m

# --- When things go wrong ------------------------------------------------------------------------------------------
# A task whose worker or node died is run again this often.
# max_retries_on_loss: 3
# Between SIGTERM and SIGKILL when a task is cancelled.
# cancel_grace: 3s
# How long running tasks may go on when the endpoint is stopped. What has not ended by then is run again after the next start.
# stop_grace: 10s
# If true, stopping the endpoint leaves workers and what they run alone; the next start finds them.
# keep_managers: false
# Workers that hear nothing from the endpoint for this long finish what they run and end.
# orphan_limit: 10m

# log_level: info     # debug, info, warn, error
`;
}
