INSERT INTO notification (event_id, channel, order_id, kind, message_id)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING;
