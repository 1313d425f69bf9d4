-- Clears the pending items, which are now in force. The new version makes gateways read them.
UPDATE sale SET pending_items = NULL, version = version + 1, updated_at = now() WHERE sale_id = :sale_id
