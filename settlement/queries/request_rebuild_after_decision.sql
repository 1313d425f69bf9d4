-- Redis must learn of what it cannot be told by a release: orders of an epoch before its own.
UPDATE sale SET rebuild_requested = true WHERE sale_id = $1 AND epoch > $2 AND state <> 'draft'
