-- The manager says of a failed start that the reason may pass: tasks that were accepted wait, and it is asked again.
alter table user_endpoints add column start_error_transient boolean not null default false;
