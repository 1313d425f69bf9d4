-- Records that a message about an event was sent through a channel.
INSERT INTO notification (event_id, channel, order_id, kind, message_id)
VALUES (:event_id, :channel, :order_id, :kind, :message_id)
ON CONFLICT DO NOTHING;
