-- Stands at the head of every script of an epoch. The rebuilder renders the four names, so that a
-- script can run against exactly one state of one server.
local SALE, EPOCH, MARK, REPLID = '@SALE@', '@EPOCH@', '@MARK@', '@REPLID@'

-- True where the state is not the one that this script was loaded for: another rebuild's (or none at
-- all, after a FLUSHALL), or another server's history (a restart, a restored copy, a failover).
local function lost(mark)
  if mark ~= MARK then return true end
  return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)') ~= REPLID
end

-- Bytes of a remembered order, and what is added to a batch's number of orders in its outbox id.
local ENTRY, BATCH = 60, 1000000 -- contract::remembered::BYTES, contract::record::OutboxId::BATCH

-- The sequences from .. to - 1 of the one outbox entry that may hold this sequence: the last that begins
-- at or before it. An entry leaves the outbox when the log has acknowledged it.
local function entry_around(outbox, sequence)
  local entry = redis.call('XREVRANGE', outbox, sequence .. '-18446744073709551615', '-', 'COUNT', 1)[1]
  if not entry then return 0, 0 end
  local from, low = string.match(entry[1], '^(%d+)-(%d+)$')
  from = tonumber(from)
  return from, from + math.max(tonumber(low) - BATCH, 0)
end

-- Milliseconds since 1970, by this server's clock: the only one that decides about windows.
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
