-- Removes the items that a draft no longer has.
DELETE FROM sale_item WHERE sale_id = :sale_id AND NOT (sku = ANY (:kept_skus));
