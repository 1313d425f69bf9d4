-- Returns the stored orders that commands name.
-- @returns many
-- @row StoredOrder
-- @nullable cancel_reason, method, token, payment_status, payment_reason, requested_at, captured_at, refund_requested_at, refunded_at, started_at, shipped_at, completed_at, estimated_arrival, next_move_at
-- @type status = contract::lifecycle::OrderStatus
-- @type method = contract::order::PaymentMethod
-- @type payment_status = contract::payment::PaymentStatus
-- @type skus = contract::ids::Sku
SELECT * FROM standing_order WHERE order_id = ANY (:order_ids)
