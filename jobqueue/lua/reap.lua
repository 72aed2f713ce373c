-- Takes back jobs whose lease has expired: to the head of their queue, or to failed if they were lost too often.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  now as RQ writes it
-- ARGV[3]  lease seconds
-- ARGV[4]  losses after which a job fails
-- ARGV[5]  failure ttl of jobs that set none, seconds
-- ARGV[6]  maximum number of jobs
-- ARGV[7]  trace (zlib-compressed, in base64) of a job that was lost too often
-- Returns  {seconds until reaping may start (0: it may), {id, worker, 'queued' | 'failed' | 'stopped'} for each job}
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _push
-- include: _outcomes
-- include: _places
-- include: _losses
local now, iso, lease, max_losses = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local leases, master = prefix .. ':wm:leases', prefix .. ':wm:master'

-- drop_started(queue, member): removes an execution from the registry of started jobs. If the job's record is gone, or
-- names another queue than the one that it was claimed from, it is looked for in all queues.
local function drop_started(queue, member)
  if redis.call('ZREM', prefix .. ':wip:' .. queue, member) == 1 then return end
  for _, key in ipairs(redis.call('SMEMBERS', prefix .. ':queues')) do
    redis.call('ZREM', prefix .. ':wip' .. string.sub(key, #prefix + #':queue' + 1), member)
  end
end

-- is_lost(id, token, status, lease_token): whether a record belongs to a lease that has expired. If it has no token
-- at all, a worker of an earlier version has claimed it, or its id was used again and it runs on a plain RQ worker.
local function is_lost(id, token, status, lease_token)
  if lease_token then return lease_token == token end
  return status == 'started' and redis.call('EXISTS', prefix .. ':executions:' .. id) == 0
end

-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('ZREM', leases, '')

-- After a failover or restart the master may lack the latest renewals: wait for one lease, so that workers can renew.
local server = redis.pcall('INFO', 'server')
local run_id = type(server) == 'string' and string.match(server, 'run_id:(%w+)') or 'unknown'
local known = redis.call('HMGET', master, 'run_id', 'reap_after')
if known[1] ~= run_id then
  local after = known[1] and now + lease or now
  redis.call('HSET', master, 'run_id', run_id, 'reap_after', after)
  known[2] = after
end
local wait_seconds = number(known[2], now, now, now + lease) - now
if wait_seconds > 0 then return {math.ceil(wait_seconds), {}} end

local reaped = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, ARGV[6])) do
  local id, token = string.match(member, '^([^:]+):(.+)$')
  id, token = id or member, token or ''
  local key = prefix .. ':job:' .. id
  local fields = redis.call('HMGET', key, 'status', 'origin', 'worker_name', 'wm_lease')
  local queue, worker = fields[2] or '', fields[3] or ''
  redis.call('ZREM', leases, member)
  drop_started(queue, member)
  drop_execution(id, token, worker)
  if is_lost(id, token, fields[1], fields[4]) and (fields[1] == 'started' or was_overwritten(id, fields[1], queue)) then
    reaped[#reaped + 1] = take_back(id, key, max_losses, ARGV[5], ARGV[7], now, iso)
  end
end
return {0, reaped}
