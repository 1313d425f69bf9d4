-- Returns the state of a sale.
-- @returns optional
-- @type state = contract::sale::SaleState
SELECT state FROM sale WHERE sale_id = :sale_id;
