-- One operator at a time.
SELECT state, currency, max_orders_per_customer, epoch, ready
  FROM sale
 WHERE sale_id = $1
   FOR UPDATE;
