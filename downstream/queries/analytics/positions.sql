-- Returns how far analytics has read these topics.
-- @returns many
SELECT topic, partition, next_offset FROM analytics_position WHERE topic = ANY(:topics);
