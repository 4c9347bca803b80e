-- Transfers of files between collections, and the agents that carry them out.

create table transfer_agents (
	-- An endpoint's, or made by a person's own command for as long as it runs.
	id uuid primary key,
	owner_id uuid not null,
	-- False: of a person's own command.
	endpoint boolean not null,
	certificate text not null,
	addresses jsonb not null,
	collections jsonb not null,
	-- Null: it has said farewell.
	last_seen_at timestamptz
);

create table transfers (
	id uuid primary key,
	seq bigint not null unique generated always as identity,
	owner_id uuid not null,
	source_id uuid not null,
	destination_id uuid not null,
	items jsonb not null,
	options jsonb not null,
	deadline timestamptz,
	status text not null check (status in ('ACTIVE', 'INACTIVE', 'SUCCEEDED', 'FAILED')),
	nice_status text not null,
	nice_status_description text not null,
	route text not null check (route in ('local', 'direct', 'relay')),
	counters jsonb not null,
	fatal_error jsonb,
	-- Made from account and the caller's key: a repeated request finds the row that the first one made.
	submission_key uuid unique,
	body_sha256 bytea not null,
	created_at timestamptz not null default now(),
	started_at timestamptz,
	completed_at timestamptz
);
create index transfers_of_owner on transfers (owner_id, seq);
create index transfers_from on transfers (source_id, seq) where completed_at is null;
create index transfers_to on transfers (destination_id, seq) where completed_at is null;
create index transfers_open on transfers (seq) where completed_at is null;
create index transfers_completed on transfers using brin (completed_at);

create table transfer_events (
	transfer_id uuid not null references transfers (id) on delete cascade,
	seq bigint not null generated always as identity,
	-- Made by whoever tells it: a repeat is recognised.
	id uuid not null,
	code text not null,
	is_error boolean not null,
	description text not null,
	details jsonb not null default '{}',
	at timestamptz not null,
	primary key (transfer_id, seq),
	unique (transfer_id, id)
);

create table transfer_files (
	transfer_id uuid not null references transfers (id) on delete cascade,
	-- The position in the source's list.
	index bigint not null,
	path text not null,
	outcome text not null,
	bytes bigint not null,
	digest text,
	took_ms bigint not null,
	reason text,
	primary key (transfer_id, index)
);
