-- Deletes results in the completed feed that have expired, with their jobs.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  maximum number of results
-- ARGV[3+] queues
-- Returns  {number of expired results (if it equals the maximum there may be more), how many of them were never pulled}
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _retention
-- include: _outcomes
-- include: _restored
local now, limit, expired, unpulled = clock(ARGV[1]), tonumber(ARGV[2]), 0, 0
local feed = prefix .. ':wm:feed'

for i = 3, #ARGV do
  local registry = prefix .. ':finished:' .. ARGV[i]
  local ids = redis.call('ZRANGEBYSCORE', registry, CENTURY_SECONDS, CENTURY_SECONDS + now, 'LIMIT', 0, limit - expired)
  expired = expired + #ids
  local keys = {}
  for _, id in ipairs(ids) do
    local key = prefix .. ':job:' .. id
    local status = redis.call('HGET', key, 'status')
    -- If a plain RQ client has requeued the job, its record is kept.
    if not status or status == 'finished' or is_overwritten(id, ARGV[i]) then
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
return {expired, unpulled}
