-- Returns the channels through which an event has been notified.
-- @returns many
SELECT channel FROM notification WHERE event_id = :event_id;
