-- Sets the numbers of a limit for all jobs, or leaves them to the jobs again.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  key of the limit
-- ARGV[3]  '1' to set them, '' to leave them to the jobs
-- ARGV[4-7] concurrency | starts | seconds | burst; '' for none
-- ARGV[8]  author of the change, see _audit.lua
-- Returns  1 if it was there before, else 0
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _push
-- include: _limits
-- include: _audit
local now, key = clock(ARGV[1]), ARGV[2]
local hash, MAX_UNBLOCKED, MAX_LEASES = limit_of(key), 1000, 20000
local before = redis.call('EXISTS', hash)
local NUMBERS = {'concurrency', 'starts', 'seconds', 'burst'}

-- numbers(): those that are set, as JSON; '' for none.
local function numbers()
  local found, set = redis.call('HMGET', hash, unpack(NUMBERS)), {}
  for i, name in ipairs(NUMBERS) do
    if found[i] then set[name] = tonumber(found[i]) end
  end
  return next(set) and cjson.encode(set) or ''
end

local numbers_before = numbers()
redis.call('HDEL', hash, 'concurrency', 'starts', 'seconds', 'burst', 'fixed')
if ARGV[3] == '1' then
  for i, name in ipairs(NUMBERS) do
    if ARGV[i + 3] ~= '' then redis.call('HSET', hash, name, ARGV[i + 3]) end
  end
  redis.call('HSET', hash, 'fixed', '1')
  redis.call('PERSIST', hash)
  redis.call('ZADD', prefix .. ':wm:limits', now, key)
end
audit(ARGV[8], ARGV[3] == '1' and 'limit_set' or 'limit_deleted', key, numbers_before, numbers())
-- A limit without a `concurrency` does not know who runs under it. From now on, or with the next job, it may have one.
for _, member in ipairs(redis.call('ZRANGE', prefix .. ':wm:leases', 0, MAX_LEASES - 1)) do
  hold_places(string.match(member, '^[^:]*'), now, key)
end
-- What waits may be allowed now. Lanes that wait for the rate look again when they would have, or at once if it is none.
local places = math.min(free_places(key), MAX_UNBLOCKED)
for _ = 1, places do
  if redis.call('EXISTS', blocked_by(key)) == 0 then break end
  unblock(key)
end
return before
