-- Groups of accounts, who may use whose endpoint, and who did what.

create table account_groups (
	id uuid primary key,
	name text not null,
	description text not null default '',
	created_at timestamptz not null default now(),
	-- A deleted group has no members; what was shared with it is shared with nobody.
	deleted_at timestamptz
);
create unique index account_groups_name on account_groups (lower(name)) where deleted_at is null;

create table account_group_members (
	group_id uuid not null references account_groups (id),
	account_id uuid not null references accounts (id) on delete cascade,
	-- May change the group.
	admin boolean not null default false,
	added_at timestamptz not null default now(),
	primary key (group_id, account_id)
);
create index account_groups_of_account on account_group_members (account_id);

-- Besides the owner, the members of this group may use the function.
alter table functions add column group_id uuid references account_groups (id);

create table endpoint_shares (
	id uuid primary key,
	endpoint_id uuid not null references endpoints (id),
	-- With an account, or with a group.
	account_id uuid references accounts (id) on delete cascade,
	group_id uuid references account_groups (id),
	-- Of each person; null: no limit.
	tasks_per_day integer,
	-- Null: any that the person may use.
	functions uuid[],
	-- Guests' tasks run in this image and no other.
	container_image text,
	shared_by uuid not null,
	created_at timestamptz not null default now(),
	check (num_nonnulls(account_id, group_id) = 1)
);
create unique index endpoint_shares_with_account on endpoint_shares (endpoint_id, account_id) where account_id is not null;
create unique index endpoint_shares_with_group on endpoint_shares (endpoint_id, group_id) where group_id is not null;
create index endpoint_shares_of_account on endpoint_shares (account_id) where account_id is not null;
create index endpoint_shares_of_group on endpoint_shares (group_id) where group_id is not null;

-- Tasks that a guest has submitted on a day (UTC). Written only where a share has a limit.
create table endpoint_usage (
	endpoint_id uuid not null,
	account_id uuid not null,
	day date not null,
	tasks bigint not null,
	primary key (endpoint_id, account_id, day)
);
create index endpoint_usage_day on endpoint_usage using brin (day);

create table audit (
	id bigint primary key generated always as identity,
	at timestamptz not null default now(),
	actor_id uuid not null,
	-- As it was called then.
	actor text not null,
	-- In whose name: the account itself, an endpoint's key, or the operator at the cloud's own machine.
	acting_as text not null check (acting_as in ('account', 'endpoint', 'operator')),
	action text not null,
	-- Its id; accounts, groups and endpoints can be gone by the time somebody reads this.
	thing text not null,
	details jsonb not null default '{}'
);
create index audit_at on audit using brin (at);
create index audit_of_actor on audit (actor_id, id);
create index audit_of_thing on audit (thing, id);

create function refuse_change_of_audit() returns trigger language plpgsql as $$
begin
	raise exception 'the audit log is only ever added to';
end
$$;
create trigger audit_is_only_added_to before update or delete on audit for each row execute function refuse_change_of_audit();
create trigger audit_is_never_emptied before truncate on audit for each statement execute function refuse_change_of_audit();
