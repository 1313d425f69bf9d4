-- Returns a page of the card payments that still need work, oldest first, behind (:after_updated_at,
-- :after_payment_id). Payments younger than :age_seconds are left out: their events are still in flight.
-- @returns many
-- @row PaymentRow
SELECT p.payment_id, p.order_id, p.sale_id, p.token, p.status AS payment_status, p.amount, p.currency, o.status AS order_status, s.partition,
       p.updated_at
  FROM payment p
  JOIN customer_order o ON o.order_id = p.order_id
  JOIN sale s ON s.sale_id = p.sale_id
 WHERE p.method = 'card'
   AND p.status IN ('requested', 'refund_requested')
   AND p.updated_at < now() - make_interval(secs => :age_seconds)
   AND (p.updated_at, p.payment_id) > (:after_updated_at, :after_payment_id)
 ORDER BY p.updated_at, p.payment_id
 LIMIT :limit;
