-- Takes jobs back that a plain RQ worker has abandoned, as RQ's own maintenance does, once RQ's deadline has passed:
-- lapsed executions are retried or failed (rq.registry.StartedJobRegistry.cleanup). Jobs that have been stuck between
-- queue and worker for a minute are queued again (rq.intermediate_queue; RQ itself fails them).
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  now as RQ writes it
-- ARGV[3]  queue
-- ARGV[4]  failure ttl of jobs that set none, seconds
-- ARGV[5]  maximum number of jobs
-- ARGV[6]  trace (zlib-compressed, in base64) of an abandoned job
-- Returns  for each job: {id, 'queued' | 'failed'}
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _push
-- include: _schedule
-- include: _outcomes
-- include: _places
local now, iso, queue = clock(ARGV[1]), ARGV[2], ARGV[3]
local wip, intermediate = prefix .. ':wip:' .. queue, prefix .. ':queue:' .. queue .. ':intermediate'
local reaped = {}

for _, member in ipairs(redis.call('ZRANGEBYSCORE', wip, 0, math.floor(now), 'LIMIT', 0, ARGV[5])) do
  local id, token = string.match(member, '^([^:]+):(.+)$')
  if not redis.call('ZSCORE', prefix .. ':wm:leases', member) then
    redis.call('ZREM', wip, member)
    if id then
      local key = prefix .. ':job:' .. id
      local fields = redis.call('HMGET', key, 'status', 'failure_ttl', 'worker_name', 'rate_limit_key', 'wm_lease')
      drop_execution(id, token, fields[3])
      -- A worker of ours may run it meanwhile, or another job with this id.
      local is_leased = fields[5] and redis.call('ZSCORE', prefix .. ':wm:leases', id .. ':' .. fields[5])
      if fields[1] == 'started' and not is_leased then
        local retried = retry_after_failure(id, key, queue, now, iso)
        if not retried then
          record_failure(id, key, queue, {
            status = 'failed', reason = 'worker_lost', trace = ARGV[6], value = '', type = '2',
            worker = fields[3] or '', ttl = ttl_of(fields[2], ARGV[4]), now = now, iso = iso,
          })
          note_parents({id}, 'failed')
        end
        if fields[4] and not (retried and redis.call('HGET', key, 'status') == 'queued') then
          give_back_place(id, fields[4], now, iso)
        end
        reaped[#reaped + 1] = {id, retried and 'queued' or 'failed'}
      end
    end
  end
end

for _, id in ipairs(redis.call('LRANGE', intermediate, 0, tonumber(ARGV[5]) - 1)) do
  local key, first_seen_key = prefix .. ':job:' .. id, intermediate .. ':first_seen:' .. id
  local status = redis.call('HGET', key, 'status')
  if not status then
    redis.call('LREM', intermediate, 1, id)
  elseif status == 'queued' and redis.call('EXISTS', prefix .. ':executions:' .. id) == 0 then
    local seen = redis.call('GET', first_seen_key)
    if not seen then
      redis.call('SET', first_seen_key, now, 'EX', 86400)
    elseif now - number(seen, 0, 0, now) > 60 then
      redis.call('LREM', intermediate, 1, id)
      redis.call('DEL', first_seen_key)
      push(queue, {id}, true)
      reaped[#reaped + 1] = {id, 'queued'}
    end
  end
end
return reaped
