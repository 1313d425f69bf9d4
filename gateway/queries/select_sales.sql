-- Returns sales as the operator defined them, with their state; one, or all. `rebuild`: the rebuild that is due or in
-- progress. Until it begins, its epoch is the next one and its step is `waiting`.
-- @returns many
-- @type sale = crate::read::stored_json::StoredJson
-- @nullable sale_id
SELECT jsonb_build_object(
         'sale_id', s.sale_id, 'partition', s.partition, 'title', s.title, 'state', s.state,
         'version', s.version, 'epoch', s.epoch, 'ready', s.ready, 'settled_epoch', s.settled_epoch,
         'rebuild_requested', s.rebuild_requested,
         'rebuild', CASE WHEN s.state <> 'draft' AND (s.rebuild_requested OR NOT s.ready) THEN
             jsonb_build_object(
                 'epoch', CASE WHEN s.rebuild_step IS NULL THEN s.epoch + 1 ELSE s.epoch END,
                 'step', coalesce(s.rebuild_step, 'waiting'),
                 'since', to_char(coalesce(s.rebuild_since, s.updated_at) AT TIME ZONE 'UTC',
                                  'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                 'reason', coalesce(s.rebuild_reason,
                                    CASE WHEN s.was_ready THEN 'unfinished' ELSE 'first_opening' END))
             || CASE WHEN s.rebuild_orders_written IS NULL THEN '{}'
                     ELSE jsonb_build_object('orders_written', s.rebuild_orders_written) END END,
         'currency', s.currency,
         'opens_at', to_char(s.opens_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
         'closes_at', to_char(s.closes_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
         'max_orders_per_customer', s.max_orders_per_customer, 'hold_seconds', s.hold_seconds,
         'delivery_fee', s.delivery_fee, 'free_delivery_from', s.free_delivery_from,
         'discount_policies', s.discount_policies,
         'items', coalesce(s.pending_items, (
             SELECT jsonb_agg(jsonb_build_object('sku', i.sku, 'name', i.name, 'price', i.price, 'total', i.total,
                              'max_quantity_per_order', i.max_quantity_per_order) ORDER BY i.position)
               FROM sale_item i WHERE i.sale_id = s.sale_id AND i.offered))) AS sale
  FROM sale s
 WHERE :sale_id::text IS NULL OR s.sale_id = :sale_id
 ORDER BY s.sale_id;
