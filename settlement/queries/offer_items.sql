-- Offers exactly these items. A total that is lower than what is held, sold or dead-lettered becomes
-- that: units that are taken cannot be taken back. Returns the items whose total had to be raised.
WITH wanted AS (
    SELECT * FROM unnest($2::text[], $3::integer[], $4::text[], $5::bigint[], $6::integer[], $7::bigint[])
        AS new (sku, position, name, price, max_quantity_per_order, total)
), made AS (
    INSERT INTO sale_item AS item (sale_id, sku, position, offered, name, price, max_quantity_per_order, total)
    SELECT $1, sku, position, true, name, price, max_quantity_per_order, total FROM wanted
    ON CONFLICT (sale_id, sku) DO UPDATE
       SET position = excluded.position, offered = true, name = excluded.name, price = excluded.price,
           max_quantity_per_order = excluded.max_quantity_per_order,
           total = greatest(excluded.total,
                            CASE WHEN excluded.total IS NOT NULL
                                 THEN item.held + item.sold + item.dead_lettered END)
    RETURNING item.sku, item.total
)
SELECT made.sku, made.total FROM made JOIN wanted USING (sku) WHERE made.total > wanted.total
