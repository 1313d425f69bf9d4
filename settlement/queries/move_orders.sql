-- Moves orders to their next states.
-- @columns OrderMoveColumns
-- @nullable reason[]
-- @type status = contract::lifecycle::OrderStatus
UPDATE customer_order AS o
   SET status = new.status, cancel_reason = new.reason, updated_at = :updated_at
  FROM unnest(:order_id::uuid[], :status::text[], :reason::text[]) AS new (order_id, status, reason)
 WHERE o.order_id = new.order_id
