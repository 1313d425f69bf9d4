-- The sale of a record that is judged again, locked before its items, as everyone locks.
SELECT currency, max_orders_per_customer, epoch FROM sale WHERE sale_id = $1 FOR UPDATE
