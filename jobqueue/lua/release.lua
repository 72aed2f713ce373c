-- Gives claimed jobs back that have not begun (or were ended unfinished by a drain): uncharged, to the head. A job that
-- somebody cancelled meanwhile ends here.
-- KEYS[1]  the shard's prefix
-- ARGV     now, now as RQ writes it, ttl of a cancelled job, then for each job in the order of the queue:
--          id, token, queue
-- Returns  how many were given up; a lease that is gone is passed over
local prefix = KEYS[1]
-- include: _clock
-- include: _push
-- include: _outcomes
local now, iso, ttl, given_up = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), 0
for i = #ARGV - 2, 4, -3 do
  local id, token, queue = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local member, key = id .. ':' .. token, prefix .. ':job:' .. id
  if redis.call('ZREM', prefix .. ':wm:leases', member) == 1 then
    redis.call('ZREM', prefix .. ':wip:' .. queue, member)
    local fields = redis.call('HMGET', key, 'data', 'wm_attempts', 'worker_name', 'wm_cancel')
    drop_execution(id, token, fields[3])
    if fields[1] then
      if fields[2] then
        redis.call('HINCRBY', key, 'wm_attempts', -1)
      else
        redis.call('HDEL', key, 'started_at')
      end
      redis.call('HDEL', key, 'worker_name')
      if fields[4] then
        cancel(id, key, queue, ttl, now, iso)
      else
        redis.call('HSET', key, 'status', 'queued', 'enqueued_at', iso)
        push(queue, {id}, true)
      end
      given_up = given_up + 1
    end
  end
end
return given_up
