-- Deletes what has expired: registry entries, feed entries without a result, records of silent workers. Also puts
-- results back into the feed whose pull lease has expired unacknowledged.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  seconds that a cancelled job is listed
-- ARGV[3]  maximum number of entries of each kind
-- ARGV[4]  how many of the queues, the first ones, have their registries looked at
-- ARGV[5+] all queues
-- Returns  {number of results put back into the feed, number of feed entries deleted}
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
local now, canceled_ttl, limit = clock(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local feed, leases, places = prefix .. ':wm:feed', prefix .. ':wm:feed:leases', prefix .. ':wm:feed:places'

-- A job that a plain RQ client has cancelled has no time to live: RQ keeps it for ever. Those of HTTP end here.
local function forget_canceled(registry)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', registry, 0, now - canceled_ttl, 'LIMIT', 0, limit)) do
    local key = prefix .. ':job:' .. id
    local status, from_http = unpack(redis.call('HMGET', key, 'status', 'wm_feed'))
    if status == 'canceled' and from_http then
      redis.call('DEL', key, prefix .. ':results:' .. id)
      redis.call('ZREM', feed, id)
    end
    redis.call('ZREM', registry, id)
  end
end

for i = 5, 4 + tonumber(ARGV[4]) do
  redis.call('ZREMRANGEBYSCORE', prefix .. ':finished:' .. ARGV[i], 0, now)
  redis.call('ZREMRANGEBYSCORE', prefix .. ':failed:' .. ARGV[i], 0, now)
  forget_canceled(prefix .. ':canceled:' .. ARGV[i])
end

local lapsed = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, limit)
for _, id in ipairs(lapsed) do
  local place = redis.call('HGET', places, id)
  redis.call('ZREM', leases, id)
  redis.call('HDEL', places, id)
  if place then redis.call('ZADD', feed, number(place, 0, -2^53, 2^53), id) end
end
if #lapsed > 0 and redis.call('EXISTS', feed .. ':bell') == 0 then redis.call('RPUSH', feed .. ':bell', '1') end

-- A feed entry may outlive its result. Each call checks the next part of the feed, round and round.
local CHUNK = 200
local sweep = feed .. ':sweep'
local from = string.format('%.17g', number(redis.call('GET', sweep), -2^53, -2^53, 2^53))
local entries = redis.call('ZRANGEBYSCORE', feed, '(' .. from, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
local deleted = 0
for first = 1, #entries, CHUNK * 2 do
  local last = math.min(first + CHUNK * 2, #entries + 1) - 2
  local keys = {}
  for i = first, last, 2 do keys[#keys + 1] = prefix .. ':results:' .. entries[i] end
  -- Hardly any result is gone, so one EXISTS covers a whole chunk.
  if redis.call('EXISTS', unpack(keys)) < #keys then
    for i = first, last, 2 do
      if redis.call('EXISTS', prefix .. ':results:' .. entries[i]) == 0 then
        redis.call('ZREM', feed, entries[i])
        deleted = deleted + 1
      end
    end
  end
end
if #entries < limit * 2 then
  redis.call('DEL', sweep)
else
  redis.call('SET', sweep, entries[#entries])
end

-- Workers without a heartbeat for a minute.
local silent = redis.call('ZRANGEBYSCORE', prefix .. ':wm:workers', '-inf', now - 60, 'LIMIT', 0, limit)
for _, name in ipairs(silent) do
  redis.call('ZREM', prefix .. ':wm:workers', name)
  local key = prefix .. ':worker:' .. name
  local queues = redis.call('HGET', key, 'queues') or ''
  for queue in string.gmatch(queues, '[^,]+') do
    redis.call('SREM', prefix .. ':workers:' .. queue, key)
  end
  -- One that serves every queue is listed for each of them.
  for i = 5, queues == '*' and #ARGV or 4 do redis.call('SREM', prefix .. ':workers:' .. ARGV[i], key) end
  redis.call('SREM', prefix .. ':workers', key)
  redis.call('DEL', key)
end
return {#lapsed, deleted}
