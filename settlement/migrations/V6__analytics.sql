-- What the group `analytics` has counted, from order-events. Each batch is one transaction: how far it has
-- read, and what it counted.

-- The next record of each partition that it reads. Moves by compare-and-set.
CREATE TABLE analytics_position (
    topic       text    NOT NULL,
    partition   integer NOT NULL,
    next_offset bigint  NOT NULL,
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 20);

-- Which states of an order were counted, a bit each: an event that comes again counts no more.
CREATE TABLE analytics_order (
    order_id   uuid        PRIMARY KEY,
    sale_id    text        NOT NULL,
    seen       integer     NOT NULL,
    paid_at    timestamptz,
    shipped_at timestamptz
) WITH (fillfactor = 70);
ALTER TABLE analytics_order SET (autovacuum_vacuum_insert_scale_factor = 0.5);

-- The funnel and the money of a sale.
CREATE TABLE analytics_sale (
    sale_id           text        PRIMARY KEY,
    currency          text        NOT NULL,
    accepted          bigint      NOT NULL,
    payment_requested bigint      NOT NULL,
    paid              bigint      NOT NULL,
    payment_failed    bigint      NOT NULL,
    expired           bigint      NOT NULL,
    cancelled         bigint      NOT NULL, -- for whatever other reason
    shipped           bigint      NOT NULL,
    delivered         bigint      NOT NULL,
    refund_requested  bigint      NOT NULL,
    refunded          bigint      NOT NULL,
    captured          bigint      NOT NULL, -- totals of orders when they were paid, in the minor unit
    returned          bigint      NOT NULL, -- totals of paid orders when they were cancelled or refunded
    first_order_at    timestamptz,
    last_order_at     timestamptz,
    updated_at        timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Orders accepted in each second.
CREATE TABLE analytics_second (
    sale_id  text        NOT NULL,
    at       timestamptz NOT NULL,
    accepted bigint      NOT NULL,
    PRIMARY KEY (sale_id, at)
);

-- Deliveries of each hour.
CREATE TABLE analytics_hour (
    sale_id            text        NOT NULL,
    at                 timestamptz NOT NULL,
    shipped            bigint      NOT NULL,
    delivered          bigint      NOT NULL,
    preparation_ms     bigint      NOT NULL, -- from payment to shipping, of those shipped in this hour
    on_the_way         bigint      NOT NULL, -- of those delivered, the ones that were shipped
    delivery_ms        bigint      NOT NULL, -- … and their time from shipping to delivery
    PRIMARY KEY (sale_id, at)
);

-- When the last unit of an item was taken for the first time.
CREATE TABLE analytics_sell_out (
    sale_id     text        NOT NULL,
    sku         text        NOT NULL,
    sold_out_at timestamptz NOT NULL,
    PRIMARY KEY (sale_id, sku)
);
