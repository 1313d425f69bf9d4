-- What the group `notification` has told, one row a message and channel: what stands here is not sent again.
CREATE TABLE notification (
    event_id   text        NOT NULL,                        -- of order-events
    channel    text        NOT NULL CHECK (channel IN ('email', 'webhook')),
    order_id   uuid        NOT NULL,
    kind       text        NOT NULL,
    message_id text        NOT NULL,                        -- Message-ID, or webhook-id: the same at every try
    sent_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, channel)
);
CREATE INDEX notification_by_order ON notification (order_id);
