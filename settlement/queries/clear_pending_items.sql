-- The pending items are made; gateways must hear of them.
UPDATE sale SET pending_items = NULL, version = version + 1, updated_at = now() WHERE sale_id = $1
