-- What both scripts know of a window. It is a hash of "end" (microseconds since
-- 1970), "used" and, when holds may lapse, "lapse" (when the first may), beside
-- one field per hold. Amounts fill 64 bits, which Lua's numbers do not: they
-- stay texts, are added by HINCRBY and compared by length and digits.

local function whole(n) return string.format('%.0f', n) end

local function clock()
  if ARGV[1] ~= '' then return tonumber(ARGV[1]) end
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000000 + tonumber(t[2])
end

-- release gives back what a ticket holds, if anything.
local function release(window, holds, ticket)
  local held = redis.call('HGET', window, 'h' .. ticket)
  if not held then return end
  redis.call('HINCRBY', window, 'used', '-' .. held)
  redis.call('HDEL', window, 'h' .. ticket)
  redis.call('ZREM', holds, ticket)
end

-- lapse gives back holds whose time has passed, so many at a time that nobody
-- waits for long; the next call goes on.
local function lapse(window, holds, now)
  for _, ticket in ipairs(redis.call('ZRANGEBYSCORE', holds, '-inf', whole(now), 'LIMIT', 0, 1000)) do
    release(window, holds, ticket)
    redis.call('ZREM', holds, ticket)
  end
  local first = redis.call('ZRANGE', holds, 0, 0, 'WITHSCORES')[2]
  if first then
    redis.call('HSET', window, 'lapse', whole(tonumber(first)))
  else
    redis.call('HDEL', window, 'lapse')
  end
end

-- look tells the end of an open window and what is used of it; nil and nothing
-- when none is open. A clock that went back prolongs no window.
local function look(window, holds, length, now)
  local f = redis.call('HMGET', window, 'end', 'used', 'lapse')
  local ends = tonumber(f[1] or 0)
  if ends <= now then return nil, '0' end
  if ends - now > length then
    ends = now + length
    redis.call('HSET', window, 'end', whole(ends))
  end
  if f[3] and tonumber(f[3]) <= now then
    lapse(window, holds, now)
    return ends, redis.call('HGET', window, 'used')
  end
  return ends, f[2]
end

-- keep lets a key outlive its window a little, should clocks differ.
local function keep(key, ends, now)
  redis.call('PEXPIRE', key, whole(math.ceil((ends - now) / 1000) + 10000))
end

local function open(window, holds, ends, now)
  redis.call('DEL', window, holds)
  redis.call('HSET', window, 'end', whole(ends), 'used', '0')
  keep(window, ends, now)
end
