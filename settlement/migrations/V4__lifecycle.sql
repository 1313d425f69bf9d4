-- An order's life after it was settled: its money, its goods, and what was asked for in vain.

-- One payment an order. `requested` may stand beside a cancelled order: a success that comes later goes back.
CREATE TABLE payment (
    payment_id          uuid        PRIMARY KEY,
    order_id            uuid        NOT NULL UNIQUE,
    sale_id             text        NOT NULL,
    customer_id         text        NOT NULL,
    method              text        NOT NULL CHECK (method IN ('card', 'wallet')),
    token               text,                                   -- the provider's, for a card
    status              text        NOT NULL
                        CHECK (status IN ('requested', 'captured', 'failed', 'refund_requested', 'refunded')),
    amount              bigint      NOT NULL CHECK (amount >= 0),
    currency            text        NOT NULL,
    reason              text,                                   -- why it failed
    requested_at        timestamptz NOT NULL,
    captured_at         timestamptz,
    refund_requested_at timestamptz,
    refunded_at         timestamptz,
    updated_at          timestamptz NOT NULL,
    CONSTRAINT money_comes_before_it_goes CHECK (
        (status IN ('captured', 'refund_requested', 'refunded')) = (captured_at IS NOT NULL)
        AND (status = 'refunded') = (refunded_at IS NOT NULL))
) WITH (fillfactor = 70);
-- What the payment side has to do.
CREATE INDEX payment_due ON payment (status, updated_at) WHERE status IN ('requested', 'refund_requested');
CREATE INDEX payment_by_sale ON payment (sale_id, status);

-- One delivery an order, from its payment on.
CREATE TABLE delivery (
    delivery_id         uuid        PRIMARY KEY,
    order_id            uuid        NOT NULL UNIQUE,
    sale_id             text        NOT NULL,
    partition           integer     NOT NULL,
    kind                text        NOT NULL CHECK (kind IN ('ship', 'store')),
    status              text        NOT NULL,
    tracking_number     text,
    courier             text,
    started_at          timestamptz NOT NULL,
    shipped_at          timestamptz,
    completed_at        timestamptz,
    estimated_arrival   timestamptz,
    last_status_message text        NOT NULL,
    next_move_at        timestamptz,                            -- by itself; null: nothing follows
    updated_at          timestamptz NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX delivery_due ON delivery (partition, next_move_at) WHERE next_move_at IS NOT NULL;

-- What a customer has with us, per currency. Moved by settlement (payments, refunds) and by operators (credit).
CREATE TABLE wallet (
    customer_id text        NOT NULL,
    currency    text        NOT NULL,
    balance     bigint      NOT NULL DEFAULT 0,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (customer_id, currency),
    CONSTRAINT wallet_never_below_zero CHECK (balance >= 0)
) WITH (fillfactor = 50);
CREATE TABLE wallet_entry (
    entry_id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id     text        NOT NULL,
    currency        text        NOT NULL,
    amount          bigint      NOT NULL,                       -- below 0: taken
    reason          text        NOT NULL CHECK (reason IN ('credit', 'payment', 'refund')),
    order_id        uuid,
    idempotency_key text,
    at              timestamptz NOT NULL DEFAULT now(),
    -- An order is paid once and refunded once; a credit is given once.
    UNIQUE (order_id, reason),
    UNIQUE (customer_id, idempotency_key)
);
CREATE INDEX wallet_entry_by_customer ON wallet_entry (customer_id, currency, entry_id);

-- Commands that moved nothing, or not what they asked for: part of the order's history.
CREATE TABLE order_note (
    partition  integer     NOT NULL,
    log_offset bigint      NOT NULL,
    order_id   uuid        NOT NULL,
    command    text        NOT NULL,
    result     text        NOT NULL,
    detail     jsonb,
    at         timestamptz NOT NULL,
    PRIMARY KEY (partition, log_offset)
);
CREATE INDEX order_note_by_order ON order_note (order_id);

-- Orders as commands and ticks find them.
CREATE VIEW standing_order AS
SELECT o.order_id, o.sale_id, o.customer_id, o.sequence, o.status, o.cancel_reason, o.hold_expires_at, o.subtotal,
       o.discount, o.delivery_fee, o.currency, o.fulfilment,
       l.skus, l.quantities,
       p.method, p.token, p.status AS payment_status, p.reason AS payment_reason, p.requested_at, p.captured_at,
       p.refund_requested_at, p.refunded_at,
       d.started_at, d.shipped_at, d.completed_at, d.estimated_arrival, d.next_move_at
  FROM customer_order o
 CROSS JOIN LATERAL (SELECT array_agg(sku ORDER BY line) AS skus, array_agg(quantity ORDER BY line) AS quantities
                       FROM order_line WHERE order_id = o.order_id) l
  LEFT JOIN payment p ON p.order_id = o.order_id
  LEFT JOIN delivery d ON d.order_id = o.order_id;

-- A time as the API tells it.
CREATE FUNCTION api_time(at timestamptz) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');

-- Orders as the API shows them, without their history.
CREATE VIEW shown_order AS
SELECT o.order_id, o.sale_id, o.customer_id, o.customer_email, o.sequence, o.status, o.cancel_reason, o.subtotal,
       o.discount, o.delivery_fee, o.total, o.currency, o.hold_expires_at, o.accepted_at, o.updated_at, o.fulfilment,
       (SELECT jsonb_agg(jsonb_build_object('sku', l.sku, 'quantity', l.quantity, 'unit_price', l.unit_price)
                         ORDER BY l.line)
          FROM order_line l WHERE l.order_id = o.order_id) AS lines,
       (SELECT jsonb_build_object(
                   'payment_id', p.payment_id, 'method', p.method, 'status', p.status, 'amount', p.amount,
                   'currency', p.currency, 'reason', p.reason, 'requested_at', api_time(p.requested_at),
                   'captured_at', api_time(p.captured_at), 'refunded_at', api_time(p.refunded_at))
          FROM payment p WHERE p.order_id = o.order_id) AS payment,
       (SELECT jsonb_build_object(
                   'delivery_id', d.delivery_id, 'order_id', d.order_id, 'kind', d.kind, 'status', d.status,
                   'tracking_number', d.tracking_number, 'courier', d.courier,
                   'started_at', api_time(d.started_at), 'shipped_at', api_time(d.shipped_at),
                   'completed_at', api_time(d.completed_at), 'estimated_arrival', api_time(d.estimated_arrival),
                   'last_status_message', d.last_status_message)
          FROM delivery d WHERE d.order_id = o.order_id) AS delivery
  FROM customer_order o;
