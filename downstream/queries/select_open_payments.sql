-- A page of the card payments that something is still to be done about, oldest first, behind ($2, $3).
-- Younger ones than $1 seconds are left out: an event tells of them.
SELECT p.payment_id, p.order_id, p.sale_id, p.token, p.status, p.amount, p.currency, o.status, s.partition,
       p.updated_at
  FROM payment p
  JOIN customer_order o ON o.order_id = p.order_id
  JOIN sale s ON s.sale_id = p.sale_id
 WHERE p.method = 'card'
   AND p.status IN ('requested', 'refund_requested')
   AND p.updated_at < now() - make_interval(secs => $1)
   AND (p.updated_at, p.payment_id) > ($2, $3)
 ORDER BY p.updated_at, p.payment_id
 LIMIT $4;
