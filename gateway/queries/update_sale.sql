-- The terms without the items. The version makes settlement publish them.
UPDATE sale
   SET title = $2, currency = $3, opens_at = $4, closes_at = $5, max_orders_per_customer = $6,
       hold_seconds = $7, delivery_fee = $8, free_delivery_from = $9, discount_policies = $10,
       version = version + 1, updated_at = now()
 WHERE sale_id = $1;
