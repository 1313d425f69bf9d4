-- Orders into their next states.
UPDATE customer_order AS o
   SET status = new.status, cancel_reason = new.reason, updated_at = $4
  FROM unnest($1::uuid[], $2::text[], $3::text[]) AS new (order_id, status, reason)
 WHERE o.order_id = new.order_id
