-- The card payment of an order, and where the order stands. No row: the order is not paid by card.
SELECT p.payment_id, p.order_id, p.sale_id, p.token, p.status, p.amount, p.currency, o.status, s.partition
  FROM payment p
  JOIN customer_order o ON o.order_id = p.order_id
  JOIN sale s ON s.sale_id = p.sale_id
 WHERE p.order_id = $1 AND p.method = 'card';
