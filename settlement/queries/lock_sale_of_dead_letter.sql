-- The sale of a record that is decided about, locked before its items, as everyone locks.
SELECT currency, max_orders_per_customer, partition FROM sale WHERE sale_id = $1 FOR UPDATE
