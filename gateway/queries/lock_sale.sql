-- Locks a sale: one operator changes it at a time.
-- @returns optional
-- @nullable max_orders_per_customer
-- @type state = contract::sale::SaleState
SELECT state, currency, max_orders_per_customer
  FROM sale
 WHERE sale_id = :sale_id
   FOR UPDATE;
