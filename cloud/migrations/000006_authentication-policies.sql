-- What an endpoint asks of the login of whoever submits there, and the projects that such policies belong to.

create table auth_projects (
	id uuid primary key,
	owner_id uuid not null,
	name text not null,
	contact_email text not null default '',
	-- Accounts and groups whose people manage its policies as the owner does.
	admin_ids uuid[] not null default '{}',
	admin_group_ids uuid[] not null default '{}',
	created_at timestamptz not null default now()
);
create index auth_projects_of_owner on auth_projects (owner_id);

create table auth_policies (
	id uuid primary key,
	owner_id uuid not null,
	project_id uuid references auth_projects (id),
	name text not null,
	description text not null default '',
	-- Domains of usernames and emails, like example.org or *.example.org; null: any, and none.
	include_domains text[],
	exclude_domains text[],
	-- How old a login may be; null: as old as it is.
	session_age_s integer,
	created_at timestamptz not null default now()
);
create index auth_policies_of_owner on auth_policies (owner_id);
create index auth_policies_of_project on auth_policies (project_id) where project_id is not null;

-- The reference keeps a policy from being deleted in the moment in which an endpoint registers with it.
alter table endpoints add column auth_policy_id uuid references auth_policies (id);
create index endpoints_of_auth_policy on endpoints (auth_policy_id) where auth_policy_id is not null;

-- What was found at submit between the versions at both ends, in one sentence; null: nothing, or nothing is known.
alter table tasks add column version_skew text;
