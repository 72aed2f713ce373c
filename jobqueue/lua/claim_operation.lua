-- Leases the oldest operation that has not ended, and that no manager works on.
-- KEYS[1]  shard prefix (the first shard's)
-- ARGV[1]  now ('' for Redis' clock), ARGV[2] now as RQ writes it
-- ARGV[3]  token of the lease, ARGV[4] its seconds
-- Returns  {id, its fields and values as a flat list}; {} if there is none
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
local now, iso, token, lease = clock(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local open = prefix .. ':wm:operations:open'
for _, id in ipairs(redis.call('ZRANGE', open, 0, -1)) do
  local key = prefix .. ':wm:operation:' .. id
  local fields = call_own('HMGET', key, 'lease_until', 'status', 'started_at')
  if not fields or not fields[2] then
    redis.call('ZREM', open, id)
  elseif number(fields[1], 0, 0, 1e11) <= now then
    redis.call('HDEL', key, 'lease')
    redis.call('HSET', key, 'lease', token, 'lease_until', string.format('%.3f', now + lease))
    if not fields[3] then redis.call('HSET', key, 'started_at', iso) end
    if fields[2] == 'queued' then redis.call('HSET', key, 'status', 'running') end
    return {id, redis.call('HGETALL', key)}
  end
end
return {}
