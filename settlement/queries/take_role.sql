-- Takes a role, if it is free, or renews it. A holder that has not renewed it for `stale_ms` has lost it: it may be
-- suspended, or cut off. All times are those of Postgres.
INSERT INTO role (name, holder, renewed_at)
VALUES (:name, :holder, clock_timestamp())
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, renewed_at = excluded.renewed_at
 WHERE role.holder = excluded.holder OR role.renewed_at < clock_timestamp() - :stale_ms * interval '1 millisecond'
