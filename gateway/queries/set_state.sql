-- Moves a sale to a state, if it is in one of those that lead there. The version makes settlement
-- publish it and gateways believe it.
UPDATE sale
   SET state = $3, version = version + 1, updated_at = now()
 WHERE sale_id = $1 AND state = ANY($2);
