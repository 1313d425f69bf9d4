#!lua
-- seal: the last step of a rebuild. Writes the mark if and only if the state is complete and this is the server that
-- the rebuilder wrote to.
--
-- KEYS  stock, buyers, arrivals, outbox, returning
-- ARGV  1 mark, 2 replid, 3 number of fields of stock (without the mark), 4 of buyers, 5 bytes of arrivals
-- reply 'sealed', or the difference that was found
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if replid ~= ARGV[2] then return 'the server has another replication id' end
for i, expected in ipairs({ 'hash', 'hash', 'string', 'stream', 'list' }) do
  local actual = redis.call('TYPE', KEYS[i]).ok
  if actual ~= expected and actual ~= 'none' then return KEYS[i] .. ' is a ' .. actual .. ', not a ' .. expected end
end
local found = {
  redis.call('HLEN', KEYS[1]),
  redis.call('HLEN', KEYS[2]),
  redis.call('STRLEN', KEYS[3]),
  redis.call('EXISTS', KEYS[4]),
  redis.call('EXISTS', KEYS[5]),
}
local expected = { tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), 0, 0 }
for i = 1, 5 do
  if found[i] ~= expected[i] then return KEYS[i] .. ' holds ' .. found[i] .. ', not ' .. expected[i] end
end
redis.call('HSET', KEYS[1], ':mark', ARGV[1])
return 'sealed'
