-- Returns sales as gateways sell them: the operator's terms, the offered items in the operator's order, and the state
-- of the rebuild. One statement, so that all of it holds at one moment.
-- @returns many
-- @nullable scripts, opens_at, closes_at, max_orders_per_customer, free_delivery_from
-- @type sale_id = String
-- @type currency = String
SELECT s.sale_id, s.partition, s.state, s.version, s.epoch, s.ready,
       CASE WHEN s.ready THEN s.scripts END AS scripts,
       s.title, s.currency, s.opens_at, s.closes_at, s.max_orders_per_customer, s.hold_seconds,
       s.delivery_fee, s.free_delivery_from, s.discount_policies,
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'sku', i.sku, 'name', i.name, 'price', i.price, 'total', i.total,
                   'max_quantity_per_order', i.max_quantity_per_order) ORDER BY i.position), '[]')
          FROM sale_item i
         WHERE i.sale_id = s.sale_id AND i.offered) AS items
  FROM sale s
 WHERE s.sale_id = ANY (:sale_ids) AND s.state <> 'draft'
