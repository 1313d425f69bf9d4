-- What the decision came to. A letter that stays undecided keeps its units.
UPDATE dead_letter
   SET state = $2, resolution = $3, reason = coalesce($4, reason), detail = coalesce($5, detail),
       decided_at = CASE WHEN $2 <> 'undecided' THEN $6::timestamptz END
 WHERE id = $1
