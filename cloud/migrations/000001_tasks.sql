-- Functions, endpoints, tasks, their output and the blobs they name.
-- Accounts belong to the migration after this one, so owners carry no foreign key; an account is never deleted while it owns something.

create table functions (
	id uuid primary key,
	owner_id uuid not null,
	name text not null,
	runtime smallint not null,
	code text not null,
	description text,
	public boolean not null default false,
	metadata jsonb not null default '{}',
	created_at timestamptz not null default now(),
	-- A deleted function is not found any more; tasks that name it keep its name.
	deleted_at timestamptz
);
create index functions_of_owner on functions (owner_id, created_at desc, id) where deleted_at is null;

create table endpoints (
	id uuid primary key,
	owner_id uuid not null,
	name text not null,
	display_name text,
	public boolean not null default false,
	allowed_functions uuid[],
	-- The whole registration as it came, for the public interface's metadata document.
	registration jsonb not null default '{}',
	journal_id uuid,
	created_at timestamptz not null default now(),
	locked_until timestamptz,
	lease_epoch bigint not null default 0,
	lease_holder uuid,
	lease_host text,
	lease_pid integer,
	lease_expires_at timestamptz,
	last_seen_at timestamptz,
	heartbeat_period_ms integer,
	-- The last heartbeat said that it is working; false after a farewell.
	active boolean not null default false,
	details jsonb not null default '{}',
	deleted_at timestamptz
);
create unique index endpoints_by_name on endpoints (owner_id, name) where deleted_at is null;

create table task_groups (
	id uuid primary key,
	owner_id uuid not null,
	created_at timestamptz not null default now(),
	-- Results are copied to a queue of the public interface.
	result_queue boolean not null default false
);

-- One row per cloud process that submits. Its unfinished tasks above the watermark may not have reached the broker:
-- when its lease has ended, another process publishes them again.
create table dispatchers (
	id integer primary key generated always as identity,
	lease_expires_at timestamptz not null,
	watermark bigint not null default 0
);

create sequence finished_cursor as bigint;

create table tasks (
	id uuid primary key,
	seq bigint not null generated always as identity,
	group_id uuid not null,
	endpoint_id uuid not null,
	function_id uuid not null,
	owner_id uuid not null,
	dispatcher_id integer not null,
	-- The wire's number (task.proto).
	state smallint not null default 1,
	created_at timestamptz not null default now(),
	cancel_requested_at timestamptz,
	retry_of uuid,
	-- Packed arguments, or the 32-byte name of a blob and its size.
	payload bytea,
	payload_blob bytea,
	payload_blob_bytes bigint,
	resources jsonb,
	result_serializers text[],
	-- Between creation and end: [[state, unix ms, actor, reason], ...]
	transitions jsonb not null default '[]',
	-- Set exactly once, with the result: the cursor of streams. Grows in the order of commits.
	finished_seq bigint,
	finished_at timestamptz,
	finished_by text,
	result bytea,
	result_blob bytea,
	result_blob_bytes bigint,
	failure jsonb,
	execution jsonb,
	stdout_bytes bigint not null default 0,
	stderr_bytes bigint not null default 0
) with (fillfactor = 85);
-- Payloads and results are short-lived and mostly small: compressing them costs more than it saves.
alter table tasks alter column payload set storage external;
alter table tasks alter column result set storage external;

create index tasks_of_owner on tasks (owner_id, seq);
create index tasks_of_group on tasks (group_id, finished_seq);
create index tasks_unfinished on tasks (endpoint_id, seq) where finished_seq is null;
create index tasks_to_cancel on tasks (endpoint_id) where finished_seq is null and cancel_requested_at is not null;
create index tasks_finished_at on tasks using brin (finished_at) with (pages_per_range = 32);
create index tasks_payload_blob on tasks (payload_blob) where payload_blob is not null;
create index tasks_result_blob on tasks (result_blob) where result_blob is not null;

create table task_output (
	task_id uuid not null,
	-- 1: standard output, 2: standard error (task.proto).
	stream smallint not null,
	offset_bytes bigint not null,
	data bytea not null,
	truncated boolean not null default false,
	primary key (task_id, stream, offset_bytes)
);
alter table task_output alter column data set storage external;

create table blobs (
	sha256 bytea primary key,
	size_bytes bigint not null,
	created_at timestamptz not null default now()
);
create table blob_grants (
	account_id uuid not null,
	sha256 bytea not null,
	granted_at timestamptz not null default now(),
	primary key (account_id, sha256)
);
create index blob_grants_by_blob on blob_grants (sha256);

-- One row per submit with an idempotency key, written by the statement that writes its tasks: all of them or none.
create table submissions (
	-- Made from account, endpoint and the caller's key.
	key uuid primary key,
	body_sha256 bytea not null,
	group_id uuid not null,
	created_at timestamptz not null default now()
);
create index submissions_created on submissions using brin (created_at);
