-- Records an attempt's step and that it is alive. The record of a newer attempt is not overwritten.
-- @nullable step, orders_written
UPDATE sale
   SET rebuild_step = :step, rebuild_orders_written = :orders_written, rebuild_seen_at = now()
 WHERE sale_id = :sale_id AND epoch = :epoch AND rebuild_by = :rebuild_by AND NOT ready
