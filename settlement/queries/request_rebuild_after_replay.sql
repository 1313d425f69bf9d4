-- Redis was rebuilt without the orders that a dead letter kept: it must learn of them and their customers.
UPDATE sale SET rebuild_requested = true WHERE sale_id = $1 AND epoch > $2 AND state <> 'draft'
