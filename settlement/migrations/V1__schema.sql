-- The truth about sales, stock and orders. Redis admits and Kafka records, but what stands here decides.
-- Times are UTC; money is an integer in the minor unit of the ISO 4217 code beside it.

-- A sale, as the operator defines it (terms, state) and as rebuilds move it (epoch, ready).
CREATE TABLE sale (
    sale_id                 text        PRIMARY KEY,
    partition               integer     NOT NULL,           -- of the topic orders; given once
    title                   text        NOT NULL,
    currency                text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    opens_at                timestamptz,
    closes_at               timestamptz,
    max_orders_per_customer integer     CHECK (max_orders_per_customer > 0),
    hold_seconds            integer     NOT NULL CHECK (hold_seconds > 0),
    delivery_fee            bigint      NOT NULL CHECK (delivery_fee >= 0),
    free_delivery_from      bigint,
    discount_policies       jsonb       NOT NULL DEFAULT '[]',
    state                   text        NOT NULL DEFAULT 'draft'
                                        CHECK (state IN ('draft', 'open', 'paused', 'closed')),
    version                 bigint      NOT NULL DEFAULT 1, -- grows with each change that gateways must hear of
    epoch                   bigint      NOT NULL DEFAULT 0, -- of the newest rebuild, begun or done
    ready                   boolean     NOT NULL DEFAULT false,
    was_ready               boolean     NOT NULL DEFAULT false, -- some epoch has sold: a rebuild must outwait leases
    mark                    text,                           -- of the ready epoch
    scripts                 jsonb,                          -- digests of the ready epoch
    settled_epoch           bigint      NOT NULL DEFAULT 0, -- of the highest barrier applied
    next_sequence           bigint      NOT NULL DEFAULT 1, -- behind the highest settled sequence
    rebuild_requested       boolean     NOT NULL DEFAULT false,
    pending_items           jsonb,                          -- items as a rebuild shall make them
    created_at              timestamptz NOT NULL DEFAULT now(),
    updated_at              timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX sale_by_partition ON sale (partition);

-- What a sale offers, and where its units are. `total` is null where units are not counted.
CREATE TABLE sale_item (
    sale_id                text    NOT NULL REFERENCES sale,
    sku                    text    NOT NULL,
    position               integer NOT NULL,                -- in the operator's order
    offered                boolean NOT NULL DEFAULT true,   -- false: removed, kept for its orders
    name                   text    NOT NULL,
    price                  bigint  NOT NULL CHECK (price >= 0),
    max_quantity_per_order integer NOT NULL CHECK (max_quantity_per_order > 0),
    total                  bigint  CHECK (total >= 0),
    held                   bigint  NOT NULL DEFAULT 0 CHECK (held >= 0),
    sold                   bigint  NOT NULL DEFAULT 0 CHECK (sold >= 0),
    dead_lettered          bigint  NOT NULL DEFAULT 0 CHECK (dead_lettered >= 0), -- in undecided dead letters
    PRIMARY KEY (sale_id, sku),
    CONSTRAINT never_oversold CHECK (total IS NULL OR held + sold <= total)
) WITH (fillfactor = 50);

CREATE TABLE customer_order (
    order_id           uuid        PRIMARY KEY,
    sale_id            text        NOT NULL,
    customer_id        text        NOT NULL,
    customer_email     text,
    status             text        NOT NULL,
    cancel_reason      text,
    sequence           bigint      NOT NULL,
    epoch              bigint      NOT NULL,
    subtotal           bigint      NOT NULL CHECK (subtotal >= 0),
    discount_policy_id text,
    discount           bigint      NOT NULL CHECK (discount BETWEEN 0 AND subtotal),
    delivery_fee       bigint      NOT NULL CHECK (delivery_fee >= 0),
    total              bigint      NOT NULL CHECK (total = subtotal - discount + delivery_fee),
    currency           text        NOT NULL,
    idempotency_key    text        NOT NULL,
    request_digest     bytea       NOT NULL,
    hold_seconds       integer     NOT NULL,
    hold_expires_at    timestamptz NOT NULL,
    fulfilment         text        NOT NULL DEFAULT 'ship',
    shipping_address   jsonb,
    payment_request    jsonb,
    accepted_at        timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL
);
-- Invariant 7: a sequence stands once. Also: a sale's orders, newest first.
CREATE UNIQUE INDEX customer_order_by_sequence ON customer_order (sale_id, sequence);
-- Invariant 4: a key stands once. Also: a customer's orders.
CREATE UNIQUE INDEX customer_order_by_request ON customer_order (sale_id, customer_id, idempotency_key);
-- A sale's orders by status, oldest hold first.
CREATE INDEX customer_order_by_status ON customer_order (sale_id, status, hold_expires_at);

CREATE TABLE order_line (
    order_id   uuid    NOT NULL,
    line       integer NOT NULL,
    sku        text    NOT NULL,
    quantity   integer NOT NULL CHECK (quantity > 0),
    unit_price bigint  NOT NULL CHECK (unit_price >= 0),
    PRIMARY KEY (order_id, line)
);

-- History and outbox in one: `seq` has one writer, the partition's owner, so a cursor never skips.
-- Inserted without ON CONFLICT: a doubled sequence is an alarm, not noise.
CREATE TABLE order_event (
    partition integer     NOT NULL,
    seq       bigint      NOT NULL,
    order_id  uuid        NOT NULL,
    status    text        NOT NULL,
    at        timestamptz NOT NULL,
    detail    jsonb,
    PRIMARY KEY (partition, seq)
);
CREATE INDEX order_event_by_order ON order_event (order_id);

-- Units on their way back to Redis, in the same sequence as events. A row without units tells Redis
-- that a change of totals is settled.
CREATE TABLE stock_release (
    partition integer     NOT NULL,
    seq       bigint      NOT NULL,
    sale_id   text        NOT NULL,
    sku       text,
    units     bigint      NOT NULL CHECK (units >= 0),
    change_id uuid,
    order_id  uuid,
    at        timestamptz NOT NULL,
    PRIMARY KEY (partition, seq)
);
CREATE INDEX stock_release_by_sale ON stock_release (sale_id, seq);

-- Changes of totals that have been applied: a repeated record is passed over.
CREATE TABLE stock_change (
    change_id uuid        PRIMARY KEY,
    sale_id   text        NOT NULL,
    items     jsonb       NOT NULL,
    at        timestamptz NOT NULL
);

-- How far a topic's partition is settled. Moves by compare-and-set, in the transaction of what it covers.
CREATE TABLE log_position (
    topic       text    NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint  NOT NULL DEFAULT 0,
    next_seq    bigint  NOT NULL DEFAULT 1,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 20);

-- How far a partition's events have been told to the event topics.
CREATE TABLE publish_cursor (
    partition integer PRIMARY KEY,
    next_seq  bigint  NOT NULL DEFAULT 1
) WITH (fillfactor = 20);

-- Records that could not be decoded or applied, as they were.
CREATE TABLE dead_letter (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic      text        NOT NULL,
    partition  integer     NOT NULL,
    log_offset bigint      NOT NULL,
    key        bytea,
    value      bytea,
    headers    jsonb       NOT NULL,
    sale_id    text,                                        -- as far as it could be told
    epoch      bigint,
    units      jsonb       NOT NULL DEFAULT '{}',           -- per SKU, counted in sale_item.dead_lettered
    reason     text        NOT NULL,
    detail     text        NOT NULL,
    state      text        NOT NULL DEFAULT 'undecided',
    at         timestamptz NOT NULL DEFAULT now(),
    UNIQUE (topic, partition, log_offset)
);

-- Tables that a burst fills: vacuum for the visibility map early, leave the cost limit to the server.
ALTER TABLE customer_order SET (autovacuum_vacuum_insert_scale_factor = 0.5);
ALTER TABLE order_line SET (autovacuum_vacuum_insert_scale_factor = 0.5);
ALTER TABLE order_event SET (autovacuum_vacuum_insert_scale_factor = 0.5);
