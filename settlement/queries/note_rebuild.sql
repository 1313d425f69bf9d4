-- Where an attempt is, and that it lives. A newer attempt's words are not overwritten.
UPDATE sale
   SET rebuild_step = $4, rebuild_orders_written = $5, rebuild_seen_at = now()
 WHERE sale_id = $1 AND epoch = $2 AND rebuild_by = $3 AND NOT ready
