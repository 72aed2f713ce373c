-- Forgets what is over: lapsed registry entries, results that nobody pulled in time, workers that are gone; and gives
-- results back whose consumer did not acknowledge them in time.
-- KEYS[1]  the shard's prefix
-- ARGV     now, seconds that a cancelled job is kept, limit, queues
-- Returns  {results given back, feed entries forgotten}
local prefix = KEYS[1]
-- include: _clock
local now, canceled_ttl, limit = clock(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local feed, leased, places = prefix .. ':wm:feed', prefix .. ':wm:feed:leases', prefix .. ':wm:feed:places'

for i = 4, #ARGV do
  redis.call('ZREMRANGEBYSCORE', prefix .. ':finished:' .. ARGV[i], 0, now)
  redis.call('ZREMRANGEBYSCORE', prefix .. ':failed:' .. ARGV[i], 0, now)
  redis.call('ZREMRANGEBYSCORE', prefix .. ':canceled:' .. ARGV[i], 0, now - canceled_ttl)
end

local lapsed = redis.call('ZRANGEBYSCORE', leased, '-inf', now, 'LIMIT', 0, limit)
for _, id in ipairs(lapsed) do
  local place = redis.call('HGET', places, id)
  redis.call('ZREM', leased, id)
  redis.call('HDEL', places, id)
  if place then redis.call('ZADD', feed, place, id) end
end
if #lapsed > 0 and redis.call('EXISTS', feed .. ':bell') == 0 then redis.call('RPUSH', feed .. ':bell', '1') end

local PIECE = 200
-- Results expire by themselves; their places in the feed are swept, a piece at a time, round and round.
local sweep = feed .. ':sweep'
local from = redis.call('GET', sweep) or '-inf'
local entries = redis.call('ZRANGEBYSCORE', feed, '(' .. from, '+inf', 'WITHSCORES', 'LIMIT', 0, limit)
local forgotten = 0
for first = 1, #entries, PIECE * 2 do
  local last = math.min(first + PIECE * 2, #entries + 1) - 2
  local keys = {}
  for i = first, last, 2 do keys[#keys + 1] = prefix .. ':results:' .. entries[i] end
  -- Hardly any has expired since the last round, so one look is for many.
  if redis.call('EXISTS', unpack(keys)) < #keys then
    for i = first, last, 2 do
      if redis.call('EXISTS', prefix .. ':results:' .. entries[i]) == 0 then
        redis.call('ZREM', feed, entries[i])
        forgotten = forgotten + 1
      end
    end
  end
end
if #entries < limit * 2 then
  redis.call('DEL', sweep)
else
  redis.call('SET', sweep, entries[#entries])
end

-- Workers that have not been heard of for a minute.
local silent = redis.call('ZRANGEBYSCORE', prefix .. ':wm:workers', '-inf', now - 60, 'LIMIT', 0, limit)
for _, name in ipairs(silent) do
  redis.call('ZREM', prefix .. ':wm:workers', name)
  local key = prefix .. ':worker:' .. name
  for queue in string.gmatch(redis.call('HGET', key, 'queues') or '', '[^,]+') do
    redis.call('SREM', prefix .. ':workers:' .. queue, key)
  end
  redis.call('SREM', prefix .. ':workers', key)
  redis.call('DEL', key)
end
return {#lapsed, forgotten}
