#!lua
-- seal: the last step of a rebuild. Writes the mark if, and only if, everything that the rebuilder
-- wrote is there, on the server that it wrote to.
--
-- KEYS  stock, buyers, arrivals, outbox, returning
-- ARGV  1 mark, 2 replid, 3 fields of stock (without the mark), 4 fields of buyers, 5 bytes of arrivals
-- reply 'sealed', or what is not as it should be
local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
if replid ~= ARGV[2] then return 'the server has another replication id' end
local found = {
  redis.call('HLEN', KEYS[1]), redis.call('HLEN', KEYS[2]), redis.call('STRLEN', KEYS[3]),
  redis.call('EXISTS', KEYS[4]), redis.call('EXISTS', KEYS[5]),
}
local expected = { tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), 0, 0 }
for i = 1, 5 do
  if found[i] ~= expected[i] then
    return KEYS[i] .. ' holds ' .. found[i] .. ', not ' .. expected[i]
  end
end
redis.call('HSET', KEYS[1], ':mark', ARGV[1])
return 'sealed'
