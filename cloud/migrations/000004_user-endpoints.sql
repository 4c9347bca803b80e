-- Endpoints that speak only the public interface. Their manager starts a process for each account, configuration and
-- runtime; that process has a queue and a broker user of its own.

create table user_endpoints (
	id uuid primary key,
	-- The manager.
	endpoint_id uuid not null,
	owner_id uuid not null,
	-- As submitted: what the manager fills its template with, and what the submitter runs.
	config jsonb not null default '{}',
	runtime jsonb not null default '{}',
	created_at timestamptz not null default now(),
	-- The last command to start it, and why that failed.
	asked_at timestamptz,
	start_error text,
	last_seen_at timestamptz,
	heartbeat_period_ms integer,
	active boolean not null default false,
	details jsonb not null default '{}'
);
create index user_endpoints_of_endpoint on user_endpoints (endpoint_id);

-- Set: its tasks are single messages of the public interface to this process, which alone may end them. Of an endpoint
-- that has no manager it is the endpoint's own id.
alter table tasks add column user_endpoint_id uuid;
create index tasks_of_user_endpoint on tasks (user_endpoint_id, seq)
	where finished_seq is null and user_endpoint_id is not null;
