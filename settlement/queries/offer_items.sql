-- Offers exactly these items. A total below the units that are held, sold or dead-lettered becomes their sum, because
-- taken units cannot be withdrawn. Returns the items whose total had to be raised.
-- @returns many
-- @nullable total[]
-- @columns ItemColumns
WITH wanted AS (
    SELECT * FROM unnest(:sku::text[], :position::integer[], :name::text[], :price::bigint[], :max_quantity_per_order::integer[], :total::bigint[])
        AS new (sku, position, name, price, max_quantity_per_order, total)
), made AS (
    INSERT INTO sale_item AS item (sale_id, sku, position, offered, name, price, max_quantity_per_order, total)
    SELECT :sale_id, sku, position, true, name, price, max_quantity_per_order, total FROM wanted
    ON CONFLICT (sale_id, sku) DO UPDATE
       SET position = excluded.position, offered = true, name = excluded.name, price = excluded.price,
           max_quantity_per_order = excluded.max_quantity_per_order,
           total = greatest(excluded.total,
                            CASE WHEN excluded.total IS NOT NULL
                                 THEN item.held + item.sold + item.dead_lettered END)
    RETURNING item.sku, item.total
)
SELECT made.sku, made.total FROM made JOIN wanted USING (sku) WHERE made.total > wanted.total
