-- Renews the leases of a worker's jobs, and keeps RQ's execution records of those that run longer than a second.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  now as RQ writes it
-- ARGV[3]  worker
-- ARGV[4]  lease seconds
-- ARGV[5+] for each job: id | token | queue | begun: Unix time ('' if it has run for less than a second)
-- Returns  {places, from 1, of the jobs whose lease or record is gone, ids that have been cancelled}. A worker can hold
--          two leases of one id, of which one is gone.
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _outcomes
local now, iso, worker, lease = clock(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local leases = prefix .. ':wm:leases'
local lost, cancelled = {}, {}

-- Fields and TTLs as in rq.executions.Execution.
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

-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('ZREM', leases, '')
for i = 5, #ARGV, 4 do
  local id, token, queue, begun = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local member = id .. ':' .. token
  local cancel, lease_token = unpack(redis.call('HMGET', prefix .. ':job:' .. id, 'wm_cancel', 'wm_lease'))
  if lease_token == token and redis.call('ZSCORE', leases, member) then
    redis.call('ZADD', leases, now + lease, member)
    if begun ~= '' then record_execution(id, token, begun) end
    if cancel then cancelled[#cancelled + 1] = id end
  else
    if redis.call('ZREM', leases, member) == 1 then
      -- A plain RQ client has deleted the job, and knows nothing of an execution that began less than a second ago. Its
      -- id may have been used again since.
      redis.call('ZREM', prefix .. ':wip:' .. queue, member)
      drop_execution(id, token, worker)
    end
    lost[#lost + 1] = (i - 1) / 4
  end
end
return {lost, cancelled}
