-- Counts the undecided dead letters of these partitions, for a gauge.
-- @returns one
SELECT count(*) AS letters FROM dead_letter WHERE state = 'undecided' AND partition = ANY (:partitions)
