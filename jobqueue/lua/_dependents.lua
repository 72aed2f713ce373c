-- Dependents: jobs of plain RQ clients that wait for others, their parents (`depends_on`). RQ keeps for each parent the
-- set <prefix>:job:<id>:dependents, and for each dependent the set <prefix>:job::<id>:dependencies. Both are released by
-- RQ's rules (rq.job.Job.dependencies_are_met, rq.queue.Queue.enqueue_dependents). Needs _push, _places and _limits.

-- others_are_met(id, lenient, parent): whether all parents but `parent` ('' for none) have ended as the job needs it, and
-- whether there is any of them. A parent that does not exist (any more) is met. A lenient job lets its parents fail.
local MAX_PARENTS = 1000000
local function others_are_met(id, lenient, parent)
  local found = false
  for _, other in ipairs(call_own('SRANDMEMBER', prefix .. ':job::' .. id .. ':dependencies', MAX_PARENTS) or {}) do
    local status = other ~= parent and call_own('HGET', prefix .. ':job:' .. other, 'status')
    if status and status ~= '' then
      found = true
      if status ~= 'finished' and not (lenient and status == 'failed') then return false, true end
    end
  end
  return true, found
end

-- release_dependent(id, fields, now, iso): queues a job that waits for no other any more; `fields` as in DEPENDENT.
local DEPENDENT = {'status', 'origin', 'allow_dependency_failures', 'enqueue_at_front', 'rate_limit_key', 'ttl',
  'enqueue_at_front_on_retry', 'ended_at'}
local function release_dependent(id, fields, now, iso)
  local key, queue = prefix .. ':job:' .. id, fields[2] or ''
  redis.call('ZREM', prefix .. ':deferred:' .. queue, id)
  redis.call('ZREM', prefix .. ':ready:' .. queue, id)
  if fields[5] and fields[5] ~= '' then
    wait_for_place(id, key, fields[5], now, iso)
  else
    -- RQ's rule (rq.job.Job.should_enqueue_at_front).
    local has_ended = fields[8] and fields[8] ~= ''
    queue_job(id, key, queue, fields[4] == '1' or (fields[7] == '1' and has_ended), iso)
  end
  local ttl = ttl_of(fields[6], -1)
  if ttl > 0 then redis.call('EXPIRE', key, ttl) end
end

-- tell_dependent(id, parent, ending, now, iso): tells a job that a parent has ended; returns whether it is queued now.
local function tell_dependent(id, parent, ending, now, iso)
  local fields = call_own('HMGET', prefix .. ':job:' .. id, unpack(DEPENDENT)) or {}
  local lenient = fields[3] == '1'
  if fields[1] ~= 'deferred' or (ending ~= 'finished' and not lenient) then return false end
  if not others_are_met(id, lenient, parent) then return false end
  release_dependent(id, fields, now, iso)
  return true
end

-- release_if_met(id, now, iso): queues a deferred job whose parents have ended, in case that nobody has told it; returns
-- whether it is queued now. One whose parents are all gone waits on, as with RQ.
local function release_if_met(id, now, iso)
  local fields = call_own('HMGET', prefix .. ':job:' .. id, unpack(DEPENDENT)) or {}
  local is_met, found = others_are_met(id, fields[3] == '1', '')
  if fields[1] ~= 'deferred' or not is_met or not found then return false end
  release_dependent(id, fields, now, iso)
  return true
end
