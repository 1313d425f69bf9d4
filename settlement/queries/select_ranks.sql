-- What the topic `sales` must say, in short: read several times a second. A draft is nobody's business.
SELECT sale_id, epoch, version, ready FROM sale WHERE state <> 'draft'
