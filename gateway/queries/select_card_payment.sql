-- Returns a card payment by all of its ids: a callback with a wrong one does not match any payment.
-- @returns optional
-- @type status = contract::payment::PaymentStatus
SELECT status
  FROM payment
 WHERE payment_id = :payment_id AND order_id = :order_id AND sale_id = :sale_id AND method = 'card';
