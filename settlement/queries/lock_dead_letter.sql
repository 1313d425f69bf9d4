-- A dead letter of this partition that is to be decided about.
SELECT log_offset, key, value, headers, sale_id, units, settled_epoch
  FROM dead_letter
 WHERE id = $1 AND topic = $2 AND partition = $3 AND state = 'undecided'
   FOR UPDATE
