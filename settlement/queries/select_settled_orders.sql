-- Which of these orders are settled already.
SELECT order_id FROM customer_order WHERE order_id = ANY ($1)
