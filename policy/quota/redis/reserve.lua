-- Draws from all buckets or from none.
-- KEYS: of each bucket its window and its holds, a set sorted by their ends.
-- ARGV: time ('' = the server's), ticket, then of each bucket what may be used
-- already ('' = nothing passes), take, length, TTL of a hold (0 = the window's),
-- and 1 when it is settled. Times are microseconds.
-- Answers the index of the bucket that refused, or -1, then of each bucket what
-- is used and how long its window still lasts.
local now, ticket = clock(), ARGV[2]
local full, takes, answer = -1, false, { -1 }

local function bucket(i)
  local a = 3 + 5 * i
  return KEYS[2 * i + 1], KEYS[2 * i + 2], tonumber(ARGV[a + 2]), a
end

local function state(i)
  local window, holds, length = bucket(i)
  local ends, used = look(window, holds, length, now)
  answer[2 * i + 2], answer[2 * i + 3] = used, ends and ends - now or length
  return used
end

for i = 0, #KEYS / 2 - 1 do
  local used, room = state(i), ARGV[3 + 5 * i]
  if full < 0 and (#used > #room or #used == #room and used > room) then full = i end
  takes = takes or ARGV[4 + 5 * i] ~= '0'
end
if full >= 0 or not takes then
  answer[1] = full
  return answer
end

for i = 0, #KEYS / 2 - 1 do
  local window, holds, length, a = bucket(i)
  local take, ttl = ARGV[a + 1], tonumber(ARGV[a + 3])
  if take ~= '0' then
    local ends = look(window, holds, length, now)
    if not ends then
      ends = now + length
      open(window, holds, ends, now)
    end
    redis.call('HINCRBY', window, 'used', take)
    if ARGV[a + 4] == '1' then
      redis.call('HINCRBY', window, 'h' .. ticket, take)
      if ttl > 0 then
        redis.call('ZADD', holds, whole(now + ttl), ticket)
        keep(holds, ends, now)
        local first = redis.call('HGET', window, 'lapse')
        if not first or tonumber(first) > now + ttl then
          redis.call('HSET', window, 'lapse', whole(now + ttl))
        end
      end
    end
  end
end
for i = 0, #KEYS / 2 - 1 do state(i) end
return answer
