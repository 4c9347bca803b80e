/** Sizes and times that two packages must agree on, each with its unit and its reason. */

/** Above this an argument list or a result travels through the blob store: AMQP messages and rows stay small. */
export const inlineLimitBytes = 256 * 1024;

/** One value in the blob store. Larger data belong in a file that a transfer moves. */
export const blobLimitBytes = 4 * 1024 ** 3;

/** One submit request, as in the public interface (10 MB): larger arguments go by reference, more tasks in further requests. */
export const submitLimitBytes = 10 * 1024 * 1024;

/** Tasks in one submit request: as many as the largest body can hold of the smallest task. */
export const submitLimitTasks = 20_000;

/** A registered function's code. The public interface does not publish its number; bundles of real modules fit. */
export const functionLimitBytes = 8 * 1024 * 1024;

/** A record batch on AMQP closes at this many tasks … */
export const batchLimitTasks = 200;
/** … or at this many bytes, whichever comes first: measured to cost 5 µs of broker time a task. */
export const batchLimitBytes = 1024 * 1024;

/** Rows in one SQL statement. */
export const statementLimitRows = 500;

/** How long the cloud keeps a finished task, its result and its output (the public interface: two weeks). */
export const retentionMs = 14 * 24 * 3600 * 1000;

/** How long the cloud keeps the record of a run of a flow that has ended, as the public interface does. */
export const runRetentionMs = 90 * 24 * 3600 * 1000;

/** Output of one task and stream that is carried and kept; the cut is marked. */
export const outputLimitBytes = 1024 * 1024;

/** The daemon reports itself this often; the public interface's default. */
export const heartbeatPeriodMs = 30_000;

/** An endpoint's lease: renewed every third of this, so that two lost renewals do no harm. */
export const leaseTtlMs = 30_000;

/** Between SIGTERM and SIGKILL when a task is cancelled or out of time. */
export const cancelGraceMs = 3_000;

/** A task whose worker or node died is run again this often before it is failed as lost (HQ-8). */
export const lossLimit = 3;
