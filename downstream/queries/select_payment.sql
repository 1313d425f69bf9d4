-- Returns the card payment of an order, with the order's state. No row: the order is not paid by card.
-- @returns optional
-- @type sale_id = String
-- @type currency = String
-- @row PaymentRow
-- @nullable token
SELECT p.payment_id, p.order_id, p.sale_id, p.token, p.status AS payment_status, p.amount, p.currency, o.status AS order_status, s.partition, p.updated_at
  FROM payment p
  JOIN customer_order o ON o.order_id = p.order_id
  JOIN sale s ON s.sale_id = p.sale_id
 WHERE p.order_id = :order_id AND p.method = 'card';
