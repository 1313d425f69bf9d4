-- Returns the first event of a partition that has not been published.
-- @returns one
SELECT next_seq FROM publish_cursor WHERE partition = :partition
