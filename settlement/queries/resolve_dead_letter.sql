-- Stores the result of a decision. A letter that stays undecided keeps its units.
-- @nullable reason, detail
UPDATE dead_letter
   SET state = :state, resolution = :resolution, reason = coalesce(:reason, reason), detail = coalesce(:detail, detail),
       decided_at = CASE WHEN :state <> 'undecided' THEN :decided_at::timestamptz END
 WHERE id = :id
