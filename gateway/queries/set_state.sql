-- Moves a sale to a state, if its present state allows it. The new version makes settlement publish it and gateways
-- accept it.
-- @type state = contract::sale::SaleState
-- @type from_states = contract::sale::SaleState
UPDATE sale
   SET state = :state, version = version + 1, updated_at = now()
 WHERE sale_id = :sale_id AND state = ANY(:from_states);
