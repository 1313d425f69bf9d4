-- Items as a rebuild shall make them, locked against the operator until they are made.
SELECT pending_items FROM sale
 WHERE sale_id = $1 AND epoch = $2 AND NOT ready AND pending_items IS NOT NULL
   FOR UPDATE
