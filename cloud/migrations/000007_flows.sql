-- Flows, their runs, and what the engine must remember to carry a run on in another process.

create table flows (
	id uuid primary key,
	seq bigint not null generated always as identity,
	owner_id uuid not null,
	title text not null,
	subtitle text not null default '',
	description text not null default '',
	keywords text[] not null default '{}',
	-- json, not jsonb: given back with its keys in the author's order.
	definition json not null,
	input_schema json not null default '{}',
	-- Principals: urn:globus:auth:identity:<account>, urn:globus:groups:id:<group>, public, all_authenticated_users.
	viewers text[] not null default '{}',
	starters text[] not null default '{}',
	administrators text[] not null default '{}',
	run_managers text[] not null default '{}',
	run_monitors text[] not null default '{}',
	-- Everybody who may see the flow, and everybody who may see its runs.
	readers text[] not null generated always as (viewers || starters || administrators) stored,
	run_readers text[] not null generated always as (administrators || run_managers || run_monitors) stored,
	created_at timestamptz not null default now(),
	updated_at timestamptz not null default now(),
	deleted_at timestamptz
);
create index flows_of_owner on flows (owner_id, seq) where deleted_at is null;
create index flows_of_readers on flows using gin (readers) where deleted_at is null;
-- Also of deleted flows: their runs are still there to be read.
create index flows_of_run_readers on flows using gin (run_readers);
create index flows_owned on flows (owner_id);

create table runs (
	id uuid primary key,
	seq bigint not null generated always as identity,
	flow_id uuid not null,
	owner_id uuid not null,
	flow_title text not null,
	-- As it was when the run started.
	definition json not null,
	input_schema json not null,
	-- What paths read as `$._context`.
	context json not null,
	-- How its owner had proved who they are when it was started or last resumed: what endpoints may ask of a login.
	login json,
	label text not null default '',
	tags text[] not null default '{}',
	managers text[] not null default '{}',
	monitors text[] not null default '{}',
	readers text[] not null generated always as (managers || monitors) stored,
	status text not null default 'ACTIVE' check (status in ('ACTIVE', 'INACTIVE', 'SUCCEEDED', 'FAILED')),
	-- Of the last thing that was told about the whole run: {code, description, details}.
	details json not null,
	started_at timestamptz not null default now(),
	completed_at timestamptz,
	-- The run whose failed steps this one repeats.
	rerun_of uuid
);
create index runs_of_owner on runs (owner_id, seq);
create index runs_of_flow on runs (flow_id, seq);
create index runs_of_readers on runs using gin (readers);
create index runs_completed on runs (completed_at) where completed_at is not null;
create index runs_under_way on runs (seq) where completed_at is null;

-- What goes from state to state: one of each run, and one of each branch and item that a state of it has.
create table run_threads (
	id uuid primary key,
	run_id uuid not null,
	parent_id uuid,
	-- Which of the parent's turns made it, and its place there.
	parent_turn integer,
	nth integer,
	-- Where its states are within the run's definition.
	place json not null,
	-- The machine's own record (flows/machine/thread.ts).
	record json not null,
	-- When it has to be looked at although nothing was told to it.
	due_at timestamptz,
	succeeded boolean,
	output json,
	-- It waits for somebody to put something right.
	inactive json,
	-- The engine could not carry it on, and does not try again before it is told to.
	parked_at timestamptz,
	-- The thread of an earlier run whose branches need not be run again.
	source_id uuid
) with (fillfactor = 80);
create index run_threads_of_run on run_threads (run_id);
create unique index run_threads_of_parent on run_threads (parent_id, parent_turn, nth) where parent_id is not null;
create index run_threads_due on run_threads (due_at) where due_at is not null and parked_at is null;
create index run_threads_inactive on run_threads (run_id) where inactive is not null;

-- What was told to threads and not yet taken up by them.
create table run_events (
	id bigint primary key generated always as identity,
	thread_id uuid not null,
	event json not null
);
create index run_events_of_thread on run_events (thread_id, id);

-- One row per request to a provider: both what is to be asked of it and what it said.
create table run_actions (
	-- Made from thread and turn: a repeated request is the same request.
	request_id uuid primary key,
	run_id uuid not null,
	thread_id uuid not null,
	turn integer not null,
	url text not null,
	body json not null,
	status text not null default 'STARTING' check (status in ('STARTING', 'ACTIVE', 'INACTIVE', 'SUCCEEDED', 'FAILED')),
	action_id text,
	document json,
	cancel_requested boolean not null default false,
	resume_requested boolean not null default false,
	-- When to ask next; null when there is nothing left to ask. Whoever asks moves it on first, so that nobody else does.
	next_at timestamptz default now(),
	asked integer not null default 0,
	-- Since when its provider has not answered.
	silent_since timestamptz,
	-- Of the service's own actions: the task group whose results, or the transfer whose end, is news of it.
	news_of uuid
) with (fillfactor = 80);
create index run_actions_of_run on run_actions (run_id);
create index run_actions_due on run_actions (next_at) where next_at is not null;
create index run_actions_of_thread on run_actions (thread_id);
create index run_actions_with_news on run_actions (news_of) where news_of is not null and next_at is not null;

create table run_visits (
	thread_id uuid not null,
	visit integer not null,
	run_id uuid not null,
	state text not null,
	type text not null,
	attempts integer not null default 1,
	entered_at timestamptz not null default now(),
	left_at timestamptz,
	-- Null until it is left.
	outcome text check (outcome in ('succeeded', 'failed', 'cancelled')),
	input json,
	output json,
	error json,
	primary key (thread_id, visit)
);
create index run_visits_of_run on run_visits (run_id, entered_at, thread_id, visit);

create table run_log (
	id bigint primary key generated always as identity,
	run_id uuid not null,
	at timestamptz not null default now(),
	code text not null,
	description text not null,
	details json not null
);
create index run_log_of_run on run_log (run_id, id);
