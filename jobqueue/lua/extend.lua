-- Renews the leases of a worker's jobs, and keeps RQ's execution records of the long ones.
-- KEYS[1]  the shard's prefix
-- ARGV     now, now as RQ writes it, worker, lease seconds, then for each job: id | token | begun: seconds since the
--          epoch ('' where the job has run for less than a second)
-- Returns  {ids whose lease or record was gone, ids that somebody cancelled}
local prefix = KEYS[1]
-- include: _clock
local now, iso, worker, lease = clock(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local leases = prefix .. ':wm:leases'
local lost, cancelled = {}, {}

-- The fields and lifetimes of rq.executions.Execution.
local function record_execution(id, token, begun)
  local execution, executions = prefix .. ':execution:' .. id .. ':' .. token, prefix .. ':executions:' .. id
  local by_worker = prefix .. ':worker:' .. worker .. ':executions'
  redis.call('HSET', execution, 'id', token, 'job_id', id, 'created_at', begun, 'last_heartbeat', now,
    'worker_name', worker)
  redis.call('EXPIRE', execution, 90)
  redis.call('ZADD', executions, math.floor(now) + 150, token)
  redis.call('EXPIRE', executions, 150)
  redis.call('SADD', by_worker, id .. ':' .. token)
  redis.call('EXPIRE', by_worker, 150)
  redis.call('HSET', prefix .. ':job:' .. id, 'last_heartbeat', iso)
end

-- A removal as the first write lets the rest through where Redis is full.
redis.call('ZREM', leases, '')
for i = 5, #ARGV, 3 do
  local id, token, begun = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local member = id .. ':' .. token
  local status, cancel = unpack(redis.call('HMGET', prefix .. ':job:' .. id, 'status', 'wm_cancel'))
  if status and redis.call('ZSCORE', leases, member) then
    redis.call('ZADD', leases, now + lease, member)
    if begun ~= '' then record_execution(id, token, begun) end
    if cancel then cancelled[#cancelled + 1] = id end
  else
    lost[#lost + 1] = id
  end
end
return {lost, cancelled}
