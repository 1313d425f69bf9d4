-- Returns a summary of what the topic `sales` must contain; polled several times a second. Drafts are not published.
-- @returns many
SELECT sale_id, epoch, version, ready FROM sale WHERE state <> 'draft'
