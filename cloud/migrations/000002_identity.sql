-- Who may use this cloud: accounts, clients, and what the OpenID provider must remember.

create table accounts (
	id uuid primary key,
	-- person: logs in with a password. client: a service client, which is its own account. outside: came with an outside issuer's token.
	kind text not null check (kind in ('person', 'client', 'outside')),
	username text not null,
	name text not null default '',
	email text not null default '',
	admin boolean not null default false,
	password_hash text,
	outside_issuer text,
	outside_subject text,
	disabled_at timestamptz,
	created_at timestamptz not null default now(),
	unique (outside_issuer, outside_subject)
);
create unique index accounts_username on accounts (lower(username));

create table oauth_clients (
	id uuid primary key,
	kind text not null check (kind in ('service', 'endpoint')),
	name text not null,
	-- SHA-256 of 32 random bytes in base64url: such a secret needs no slow hash.
	secret_sha256 bytea not null,
	-- For whom the client acts: its own account (service) or the endpoint's owner (endpoint).
	account_id uuid not null references accounts (id) on delete cascade,
	-- Whose it is to manage.
	owner_id uuid not null references accounts (id) on delete cascade,
	endpoint_id uuid unique,
	created_at timestamptz not null default now(),
	check ((kind = 'endpoint') = (endpoint_id is not null))
);
create index oauth_clients_owner on oauth_clients (owner_id);

-- Records of the OpenID provider. Those whose id is itself a secret are stored under its SHA-256 only.
create table oauth_records (
	kind text not null,
	id_sha256 bytea not null,
	grant_id text,
	uid text,
	user_code text,
	account_id text,
	client_id text,
	payload jsonb not null,
	consumed_at timestamptz,
	expires_at timestamptz,
	primary key (kind, id_sha256)
);
create index oauth_records_grant on oauth_records (grant_id) where grant_id is not null;
create unique index oauth_records_user_code on oauth_records (user_code) where user_code is not null;
create index oauth_records_uid on oauth_records (uid) where uid is not null;
create index oauth_records_client on oauth_records (client_id) where client_id is not null;
create index oauth_records_expiry on oauth_records (expires_at) where expires_at is not null;

create table signing_keys (
	kid text primary key,
	public_jwk jsonb not null,
	-- Null once the key is retired: it verifies what it has signed, and signs nothing more.
	private_jwk jsonb,
	created_at timestamptz not null default now(),
	retired_at timestamptz,
	-- When the last token it signed has ended.
	remove_after timestamptz
);
create unique index signing_keys_current on signing_keys ((true)) where retired_at is null;

create table identity_secrets (
	name text primary key,
	secret bytea not null
);
