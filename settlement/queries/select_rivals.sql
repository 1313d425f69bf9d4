-- What stands in the way of orders that are judged again: orders under their ids, keys or sequences, and
-- how many live orders their customers have.
SELECT o.order_id, o.customer_id, o.idempotency_key, o.sequence, o.status <> 'cancelled' AS live
  FROM customer_order o
 WHERE o.sale_id = $1
   AND (o.customer_id = ANY ($2) OR o.sequence BETWEEN $3 AND $4)
