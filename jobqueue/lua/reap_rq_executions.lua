-- Does for jobs of stock RQ workers what a stock worker's maintenance does, once RQ's own deadline has passed:
-- executions that lapsed are retried or failed (rq.registry.StartedJobRegistry.cleanup), jobs that are stuck between
-- queue and worker for a minute are queued again (rq.intermediate_queue; RQ itself fails them).
-- KEYS[1]  the shard's prefix
-- ARGV     now, now as RQ writes it, queue, failure ttl of jobs that ask for none, limit, trace of an abandoned job
-- Returns  for each job: {id, 'queued' | 'failed'}
local prefix = KEYS[1]
-- include: _clock
-- include: _push
-- include: _schedule
-- include: _outcomes
local now, iso, queue = clock(ARGV[1]), ARGV[2], ARGV[3]
local wip, intermediate = prefix .. ':wip:' .. queue, prefix .. ':queue:' .. queue .. ':intermediate'
local moved = {}

for _, member in ipairs(redis.call('ZRANGEBYSCORE', wip, 0, math.floor(now), 'LIMIT', 0, ARGV[5])) do
  local id, token = string.match(member, '^([^:]+):(.+)$')
  if not redis.call('ZSCORE', prefix .. ':wm:leases', member) then
    redis.call('ZREM', wip, member)
    if id then
      local key = prefix .. ':job:' .. id
      local fields = redis.call('HMGET', key, 'status', 'failure_ttl', 'worker_name')
      drop_execution(id, token, fields[3])
      if fields[1] == 'started' then
        local retried = retry_after_failure(id, key, queue, now, iso)
        if not retried then
          fail(id, key, queue, {
            status = 'failed', reason = 'worker_lost', trace = ARGV[6], value = '', type = '2',
            worker = fields[3] or '', ttl = tonumber(fields[2] or ARGV[4]), now = now, iso = iso,
          })
          remember_dependents({id})
        end
        moved[#moved + 1] = {id, retried and 'queued' or 'failed'}
      end
    end
  end
end

for _, id in ipairs(redis.call('LRANGE', intermediate, 0, tonumber(ARGV[5]) - 1)) do
  local key, seen_key = prefix .. ':job:' .. id, intermediate .. ':first_seen:' .. id
  local status = redis.call('HGET', key, 'status')
  if not status then
    redis.call('LREM', intermediate, 1, id)
  elseif status == 'queued' and redis.call('EXISTS', prefix .. ':executions:' .. id) == 0 then
    local seen = redis.call('GET', seen_key)
    if not seen then
      redis.call('SET', seen_key, now, 'EX', 86400)
    elseif now - tonumber(seen) > 60 then
      redis.call('LREM', intermediate, 1, id)
      redis.call('DEL', seen_key)
      push(queue, {id}, true)
      moved[#moved + 1] = {id, 'queued'}
    end
  end
end
return moved
