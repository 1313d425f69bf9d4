-- The first event of a partition that has not been told.
SELECT next_seq FROM publish_cursor WHERE partition = $1
