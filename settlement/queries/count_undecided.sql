-- Dead letters of these partitions that nobody has decided about yet, for a gauge.
SELECT count(*) FROM dead_letter WHERE state = 'undecided' AND partition = ANY ($1)
