-- Returns the items that a rebuild must put into force, locked against the operator until then.
-- @returns optional
-- @type pending_items = tokio_postgres::types::Json<Vec<contract::sale::Item>>
SELECT pending_items FROM sale
 WHERE sale_id = :sale_id AND epoch = :epoch AND NOT ready AND pending_items IS NOT NULL
   FOR UPDATE
