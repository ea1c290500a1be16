-- Charges buckets, once, and gives back what a ticket holds of them.
-- KEYS: the marks of this limiter, then of each bucket its window and its holds.
-- ARGV: time ('' = the server's), ticket, number of this settlement, how long
-- marks stay (ms), how many marks are of no use any more, these, then of each
-- bucket amount, length and age of the charge. Times are microseconds.
-- Answers 0 when this settlement was here before: its answer got lost.
local now, ticket, stale = clock(), ARGV[2], tonumber(ARGV[5])
local fresh = redis.call('HSETNX', KEYS[1], ARGV[3], '1')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if stale > 0 then redis.call('HDEL', KEYS[1], unpack(ARGV, 6, 5 + stale)) end
if fresh == 0 then return 0 end

for i = 0, (#KEYS - 1) / 2 - 1 do
  local window, holds, a = KEYS[2 * i + 2], KEYS[2 * i + 3], 6 + stale + 3 * i
  local amount, length, age = ARGV[a], tonumber(ARGV[a + 1]), tonumber(ARGV[a + 2])
  local ends = look(window, holds, length, now)
  if ends then release(window, holds, ticket) end
  if amount ~= '0' then
    if not ends then open(window, holds, now + length - age, now) end
    local sum = redis.pcall('HINCRBY', window, 'used', amount)
    if type(sum) == 'table' then -- beyond 64 bits
      redis.call('HSET', window, 'used', '9223372036854775807')
    end
  end
end
return 1
