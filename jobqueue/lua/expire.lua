-- Ends the results of the feed whose time is over.
-- KEYS[1]  the shard's prefix
-- ARGV     now, limit, queues
-- Returns  {how many were looked at (the limit: there may be more), how many of them nobody had pulled}
local prefix = KEYS[1]
-- include: _clock
-- include: _retention
local now, limit, over, unpulled = clock(ARGV[1]), tonumber(ARGV[2]), 0, 0
local feed = prefix .. ':wm:feed'

for i = 3, #ARGV do
  local registry = prefix .. ':finished:' .. ARGV[i]
  local ids = redis.call('ZRANGEBYSCORE', registry, CENTURY_SECONDS, CENTURY_SECONDS + now, 'LIMIT', 0, limit - over)
  over = over + #ids
  local keys = {}
  for _, id in ipairs(ids) do
    local key = prefix .. ':job:' .. id
    local status = redis.call('HGET', key, 'status')
    -- A stock client may have queued it again: it lives on.
    if not status or status == 'finished' then
      keys[#keys + 1] = key
      keys[#keys + 1] = prefix .. ':results:' .. id
    end
  end
  in_chunks(keys, function(...) redis.call('DEL', ...) end)
  in_chunks(ids, function(...)
    redis.call('ZREM', registry, ...)
    unpulled = unpulled + redis.call('ZREM', feed, ...) + redis.call('ZREM', feed .. ':leases', ...)
    redis.call('HDEL', feed .. ':places', ...)
  end)
end
return {over, unpulled}
