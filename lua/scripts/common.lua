-- Stands at the head of every script of an epoch. The rebuilder renders the four names, so that a
-- script can run against exactly one state of one server.
local SALE, EPOCH, MARK, REPLID = '@SALE@', '@EPOCH@', '@MARK@', '@REPLID@'

-- True where the state is not the one that this script was loaded for: another rebuild's (or none at
-- all, after a FLUSHALL), or another server's history (a restart, a restored copy, a failover).
local function lost(mark)
  if mark ~= MARK then return true end
  return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)') ~= REPLID
end

-- Milliseconds since 1970, by this server's clock: the only one that decides about windows.
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
