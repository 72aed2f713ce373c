-- Gives claimed jobs back that have not begun, or that a drain ended unfinished: to the head of their queue, without
-- counting the attempt. A job that was cancelled meanwhile ends as cancelled.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  now as RQ writes it
-- ARGV[3]  ttl of a cancelled job, seconds
-- ARGV[4+] for each job in the order of the queue: id | token | queue
-- Returns  number of jobs released; a job whose lease or record is gone is skipped
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _push
-- include: _outcomes
-- include: _places
-- include: _limits
local now, iso, ttl, released = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), 0
for i = #ARGV - 2, 4, -3 do
  local id, token, queue = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local member, key = id .. ':' .. token, prefix .. ':job:' .. id
  if redis.call('ZREM', prefix .. ':wm:leases', member) == 1 then
    redis.call('ZREM', prefix .. ':wip:' .. queue, member)
    local fields = redis.call('HMGET', key, 'data', 'wm_attempts', 'worker_name', 'wm_cancel', 'status',
      'rate_limit_key', 'origin', 'wm_lease', 'wm_abandoned', 'enqueued_at')
    local is_abandoned = fields[9] and fields[9] == fields[10]
    drop_execution(id, token, fields[3])
    if fields[1] and fields[8] == token then
      if is_abandoned then
        -- It was not counted as an attempt.
      elseif fields[2] then
        redis.call('HINCRBY', key, 'wm_attempts', -1)
      else
        redis.call('HDEL', key, 'started_at')
      end
      redis.call('HDEL', key, 'worker_name')
      if fields[5] ~= 'started' and not was_overwritten(id, fields[5], fields[7] or queue) then
        -- A plain RQ client has cancelled it, or enqueued it again: its record and queue say so already.
      elseif fields[4] then
        record_cancellation(id, key, queue, ttl, now, iso)
        give_back_place(id, fields[6], now, iso)
      else
        queue_job(id, key, queue, true, iso)
        -- The time at which it was queued has changed (_losses.lua).
        if is_abandoned then redis.call('HSET', key, 'wm_abandoned', iso) end
      end
      released = released + 1
    end
  end
end
return released
