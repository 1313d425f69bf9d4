#!lua
-- reserve: reserve units for a batch of orders, all lines of an order or none.
--
-- KEYS  stock, buyers, arrivals, outbox, returning            (one slot; built by contract::keys)
-- ARGV  1 deadline_ms   Redis TIME after which nothing may be written
--       2 opens_ms      0: no bound
--       3 closes_ms     0: no bound
--       4 state         open | paused | closed, as the gateway last received it
--       5 limit         maximum live orders of a customer, 0: unlimited
--       6 deletes       number of outbox ids that the log has acknowledged
--       7 skus          number of SKUs in the batch
--       then the ids, the SKUs, and five arguments per order:
--         buyer field, identity (24 bytes), terms (24 bytes),
--         arrival hash (8 bytes) + lines (SKU index 2 bytes from 0, quantity 4 bytes), payload
-- reply one string. 'L' lost | 'T' late, both: nothing written, then now (6 bytes).
--       'K', now (6), first sequence (5), accepted (2), then one verdict per order:
--         'A' accepted (the next sequence)   'R' replayed: in outbox (1), order receipt (60)
--         'U' key used with another body     'D' already ordered: in outbox (1), order id (16)
--         'N' not open yet  'P' paused  'C' closed
--         'S' too few units: SKU index (2), units left (5)
--
-- Order of checks per order: mark, key, window, buyer, stock. A retry must find its first response before any
-- check may refuse it. The script is atomic: Redis runs one script at a time and checks memory before it starts
-- (no allow-oom), and everything that could make a write fail is checked before the first write.
local now = now_ms()
if not have_types('hash', 'hash', 'string', 'stream', 'list') then return lost_reply(now) end
local stock = redis.call('HMGET', KEYS[1], ':mark', ':next', ':released')
if lost(stock[1]) then return lost_reply(now) end
if now > tonumber(ARGV[1]) then return 'T' .. struct.pack('>I6', now) end

local opens, closes, state, limit = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local deletes, sku_count = tonumber(ARGV[6]), tonumber(ARGV[7])
local at = 8
local acknowledged, deleted = { 'XDEL', KEYS[4] }, {}
for i = at, at + deletes - 1 do
  acknowledged[#acknowledged + 1] = ARGV[i]
  deleted[ARGV[i]] = true
end
at = at + deletes

-- Returned units that every gateway has had time to see announced.
local returned, returned_entries, due = {}, 0, true
while due do
  local entries = redis.call('LRANGE', KEYS[5], returned_entries, returned_entries + 99)
  due = #entries == 100
  for _, entry in ipairs(entries) do
    local ready, units, sku = string.match(entry, '^(%d+) (%d+) (.+)$')
    if not ready or not count(units) then return lost_reply(now) end
    if tonumber(ready) > now then
      due = false
      break
    end
    returned[sku] = (returned[sku] or 0) + count(units)
    returned_entries = returned_entries + 1
  end
end

-- 'u': unlimited. An unknown SKU has no units. Returns nil for anything that cannot be a number of units.
local function units_of(sku, stored)
  if stored == 'u' then return math.huge end
  local units = not stored and 0 or count(stored)
  if units and units + (returned[sku] or 0) < 2 ^ 40 then return units + (returned[sku] or 0) end
end

local skus, left, touched = {}, {}, {}
for i = 1, sku_count do
  skus[i] = ARGV[at + i - 1]
  touched[i] = returned[skus[i]] and true
end
at = at + sku_count
local indexes = {} -- SKU -> its index
for i = 1, sku_count do
  indexes[skus[i]] = i
end
for sku in pairs(returned) do
  if not indexes[sku] then
    skus[#skus + 1] = sku
    touched[#skus] = true
  end
end
if #skus > 0 then
  local found = redis.call('HMGET', KEYS[1], unpack(skus))
  for i = 1, #skus do
    left[i] = units_of(skus[i], found[i])
    if not left[i] then return lost_reply(now) end
  end
end

local fields = {}
for i = at, #ARGV, 5 do
  fields[#fields + 1] = ARGV[i]
end
local stored = redis.call('HMGET', KEYS[2], unpack(fields))
local receipts = {} -- buyer field -> its receipts
for i = 1, #fields do
  receipts[fields[i]] = stored[i] or ''
  if #receipts[fields[i]] % ENTRY ~= 0 then return lost_reply(now) end
end

local refusal
if state == 'closed' or (closes > 0 and now >= closes) then
  refusal = 'C'
elseif opens > 0 and now < opens then
  refusal = 'N'
elseif state == 'paused' then
  refusal = 'P'
end

local first = count(stock[2])
if not first or first < 1 or first + #fields >= 2 ^ 40 or not count(stock[3]) then return lost_reply(now) end
local sequence = first
local seen_from, seen_to, seen_id = 0, 0, ''

-- Returns '1' while the log has not acknowledged the batch with this sequence: it was accepted just now, or it is
-- in an entry of the outbox.
local function in_outbox(s)
  if s >= first then return '1' end
  if s < seen_from or s >= seen_to then
    seen_from, seen_to, seen_id = entry_around(KEYS[4], s)
  end
  if s >= seen_from and s < seen_to and not deleted[seen_id] then return '1' end
  return '0'
end

local function sequence_of(entry_start, entries) return (struct.unpack('>I5', entries, entry_start + 24)) end

local verdicts, payloads, arrivals, changed, order = {}, {}, {}, {}, 0
for i = at, #ARGV, 5 do
  order = order + 1
  local field, identity, lines = ARGV[i], ARGV[i + 1], ARGV[i + 3]
  local mine = receipts[field]
  local verdict

  local request, live, newest = string.sub(identity, 9, 16), 0, nil
  for e = 1, #mine, ENTRY do
    if string.sub(mine, e + 8, e + 15) == request then
      if string.sub(mine, e + 16, e + 23) == string.sub(identity, 17, 24) then
        verdict = 'R' .. in_outbox(sequence_of(e, mine)) .. string.sub(mine, e, e + ENTRY - 1)
      else
        verdict = 'U'
      end
      break
    end
    -- 'L': a live order.
    if string.byte(mine, e + 59) == 76 then
      live, newest = live + 1, e
    end
  end

  verdict = verdict or refusal
  if not verdict and limit > 0 and live >= limit then
    verdict = 'D' .. in_outbox(sequence_of(newest, mine)) .. string.sub(mine, newest, newest + 15)
  end
  if not verdict then
    for l = 9, #lines, 6 do
      local index, quantity = struct.unpack('>I2I4', lines, l)
      if left[index + 1] < quantity then
        verdict = 'S' .. struct.pack('>I2I5', index, left[index + 1])
        break
      end
    end
  end
  if not verdict then
    for l = 9, #lines, 6 do
      local index, quantity = struct.unpack('>I2I4', lines, l)
      left[index + 1] = left[index + 1] - quantity
      touched[index + 1] = true
    end
    verdict = 'A'
    receipts[field] = mine .. identity .. struct.pack('>I5I6', sequence, now) .. ARGV[i + 2] .. 'L'
    changed[field] = true
    arrivals[#arrivals + 1] = string.sub(lines, 1, 8)
    payloads[#payloads + 1] = ARGV[i + 4]
    sequence = sequence + 1
  end
  verdicts[order] = verdict
end

-- The entry first: it alone may be refused, if the outbox has had a later sequence.
local accepted = sequence - first
if accepted > 0 then
  if redis.call('STRLEN', KEYS[3]) + 8 * accepted > 536870912 then return lost_reply(now) end
  local id = first .. '-' .. (BATCH + accepted)
  local added = redis.pcall('XADD', KEYS[4], id, 'at', now, 'orders', table.concat(payloads, ','))
  if type(added) == 'table' and added.err then return lost_reply(now) end
end

local writes = {}
for index in pairs(touched) do
  if left[index] ~= math.huge then
    writes[#writes + 1] = skus[index]
    writes[#writes + 1] = left[index]
  end
end
if accepted > 0 then
  redis.call('HSET', KEYS[1], ':next', sequence, unpack(writes))
  writes = {}
  for field in pairs(changed) do
    writes[#writes + 1] = field
    writes[#writes + 1] = receipts[field]
  end
  redis.call('HSET', KEYS[2], unpack(writes))
  redis.call('APPEND', KEYS[3], table.concat(arrivals))
elseif #writes > 0 then
  redis.call('HSET', KEYS[1], unpack(writes))
end
if returned_entries > 0 then redis.call('LTRIM', KEYS[5], returned_entries, -1) end
if deletes > 0 then redis.call(unpack(acknowledged)) end
return 'K' .. struct.pack('>I6I5I2', now, first, accepted) .. table.concat(verdicts)
