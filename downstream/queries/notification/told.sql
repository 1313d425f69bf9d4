SELECT channel FROM notification WHERE event_id = $1;
