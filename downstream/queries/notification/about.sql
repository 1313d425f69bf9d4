-- What a message about an order says beside the event.
SELECT customer_order.customer_email, sale.title, delivery.tracking_number, delivery.courier
  FROM customer_order
  JOIN sale USING (sale_id)
  LEFT JOIN delivery USING (order_id)
 WHERE customer_order.order_id = $1;
