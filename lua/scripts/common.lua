-- The head of every script of an epoch. The rebuilder replaces the four placeholders, so that a script can run
-- against exactly one state of one server.
local SALE, EPOCH, MARK, REPLID = '@SALE@', '@EPOCH@', '@MARK@', '@REPLID@'

-- Returns whether the state is not the one that this script was loaded for: it was written by another rebuild, does
-- not exist (after a FLUSHALL), or belongs to another server's history (a restart, a restored copy, a failover).
local function lost(mark)
  if mark ~= MARK then return true end
  return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)') ~= REPLID
end

-- Returns whether the keys have these types, or do not exist. Anything else was not written by these scripts.
local function have_types(...)
  for i, expected in ipairs({ ... }) do
    local actual = redis.call('TYPE', KEYS[i]).ok
    if actual ~= expected and actual ~= 'none' then return false end
  end
  return true
end

-- Returns a stored count, or nil for anything else. Lua calculates with every count of this length exactly.
local function count(text)
  if text and #text <= 15 and string.find(text, '^%d+$') then return tonumber(text) end
end

-- Returns the reply to a state that cannot be right. Each script checks everything that its writes rely on before the
-- first write: Redis keeps what a script has written before it fails.
local function lost_reply(now) return 'L' .. struct.pack('>I6', now) end

-- The size of an order receipt in bytes, and the number that an outbox id adds to the number of orders.
local ENTRY, BATCH = 60, 1000000 -- contract::order_receipt::BYTES, contract::record::OutboxId::BATCH

-- Returns the sequences from .. to - 1 of the only outbox entry that may hold this sequence, and its id: the last entry
-- that begins at or before it. An entry is deleted from the outbox when the log has acknowledged it.
local function entry_around(outbox, sequence)
  local entry = redis.call('XREVRANGE', outbox, sequence .. '-18446744073709551615', '-', 'COUNT', 1)[1]
  if not entry then return 0, 0, '' end
  local from, low = string.match(entry[1], '^(%d+)-(%d+)$')
  from = tonumber(from)
  return from, from + math.max(tonumber(low) - BATCH, 0), entry[1]
end

-- Returns milliseconds since 1970 by this server's clock, the only clock that decides about windows.
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
