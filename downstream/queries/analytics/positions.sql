SELECT topic, partition, next_offset FROM analytics_position WHERE topic = ANY($1);
