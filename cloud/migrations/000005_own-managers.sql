-- Managers of our own daemon. The user endpoints that they start speak our protocol, and like every daemon of ours they
-- register, hold a lease and name their journal; the tasks they are sent are batches.

alter table user_endpoints
	-- Made from manager, account, configuration and versions: the same four have the same user endpoint. Its id is not
	-- made from them, so that nobody who knows them can register an endpoint under it beforehand.
	add column key uuid,
	-- Speaks our protocol.
	add column native boolean not null default false,
	-- Has a broker user and, when it is native, a key. Ended with its manager.
	add column access boolean not null default true,
	add column journal_id uuid,
	add column lease_epoch bigint not null default 0,
	add column lease_holder uuid,
	add column lease_host text,
	add column lease_pid integer,
	add column lease_expires_at timestamptz;
update user_endpoints set key = id;
alter table user_endpoints alter column key set not null;
create unique index user_endpoints_by_key on user_endpoints (key);
