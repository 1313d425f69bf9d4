-- Locks the sale of a record that is being decided, before its items, in the order that all transactions use.
-- @returns optional
-- @nullable max_orders_per_customer
SELECT currency, max_orders_per_customer, partition FROM sale WHERE sale_id = :sale_id FOR UPDATE
