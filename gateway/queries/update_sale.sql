-- Stores the terms without the items. The new version makes settlement publish them.
-- @nullable opens_at, closes_at, max_orders_per_customer, free_delivery_from
-- @type discount_policies = tokio_postgres::types::Json<&'a [contract::sale::DiscountPolicy]>
UPDATE sale
   SET title = :title, currency = :currency, opens_at = :opens_at, closes_at = :closes_at,
       max_orders_per_customer = :max_orders_per_customer, hold_seconds = :hold_seconds,
       delivery_fee = :delivery_fee, free_delivery_from = :free_delivery_from, discount_policies = :discount_policies,
       version = version + 1, updated_at = now()
 WHERE sale_id = :sale_id;
