-- Returns what a message about an order contains beside the event.
-- @returns optional
-- @nullable customer_email, tracking_number, courier
SELECT customer_order.customer_email, sale.title, delivery.tracking_number, delivery.courier
  FROM customer_order
  JOIN sale USING (sale_id)
  LEFT JOIN delivery USING (order_id)
 WHERE customer_order.order_id = :order_id;
