-- Gives jobs back the status that a plain RQ client has overwritten: it saved a job (`Job.save`) that it had fetched
-- before. Their registry tells what they are. Needs _outcomes.

-- iso_of(milliseconds): an instant as RQ writes it, of the year 9999 at the latest.
local function iso_of(milliseconds)
  local seconds, year = math.min(math.floor(milliseconds / 1000), 253402300799), 1970
  local days, second = math.floor(seconds / 86400), seconds % 86400
  local lengths = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}
  local function days_of_year()
    lengths[2] = (year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)) and 29 or 28
    return lengths[2] + 337
  end
  while days >= days_of_year() do
    days, year = days - days_of_year(), year + 1
  end
  local month = 1
  while days >= lengths[month] do
    days, month = days - lengths[month], month + 1
  end
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03d000Z', year, month, days + 1, math.floor(second / 3600),
    math.floor(second % 3600 / 60), second % 60, milliseconds % 1000)
end

-- stands_nowhere(id, status, queue, lease_token): whether a job is not where its status says: neither in a queue or
-- registry, nor on a worker.
local function stands_nowhere(id, status, queue, lease_token)
  if status == 'started' then
    return not (lease_token and redis.call('ZSCORE', prefix .. ':wm:leases', id .. ':' .. lease_token))
      and redis.call('EXISTS', prefix .. ':executions:' .. id) == 0
  end
  -- A plain RQ worker moves a job there between queue and start.
  return was_overwritten(id, status, queue)
    and not (status == 'queued' and call_own('LPOS', prefix .. ':queue:' .. queue .. ':intermediate', id))
end

-- is_overwritten(id, queue): whether the status of a job that stands in a registry of this queue says that it should
-- stand elsewhere, and it does not. A job that was enqueued again after its end holds an `ended_at`: it is left alone.
local function is_overwritten(id, queue)
  local status, ended_at, lease_token, origin = unpack(call_own('HMGET', prefix .. ':job:' .. id, 'status', 'ended_at',
    'wm_lease', 'origin') or {})
  if not status or origin ~= queue or (ended_at and ended_at ~= '') then return false end
  return stands_nowhere(id, status, queue, lease_token)
end

-- restore_status(id, queue, registry): restores the status, if it is overwritten, of a job that stands in this registry
-- of its queue ('scheduled', 'deferred', 'finished', 'failed', 'canceled'). Returns whether it did.
local function restore_status(id, queue, registry)
  local key = prefix .. ':job:' .. id
  if not is_overwritten(id, queue) then return false end
  if registry == 'scheduled' or registry == 'deferred' then
    redis.call('HSET', key, 'status', registry)
    note_change(id, key, registry)
    return true
  end
  local ended_ms, worker, kind = nil, nil, nil
  if registry == 'canceled' then
    ended_ms = number(redis.call('ZSCORE', prefix .. ':canceled:' .. queue, id), 0, 0, 1e11) * 1000
  else
    local last = (call_own('XREVRANGE', prefix .. ':results:' .. id, '+', '-', 'COUNT', 1) or {})[1]
    if not last then return false end
    ended_ms = number(string.match(last[1], '^%d+'), 0, 0, 1e14)
    for i = 1, #last[2], 2 do
      if last[2][i] == 'worker_name' then worker = last[2][i + 1] end
      if last[2][i] == 'type' then kind = last[2][i + 1] end
    end
  end
  local reason, cancelled = unpack(redis.call('HMGET', key, 'wm_reason', 'wm_cancel'))
  -- '3' is RQ's Result.Type.STOPPED.
  local stopped = registry == 'failed' and (cancelled or reason == '' or kind == '3')
  redis.call('HSET', key, 'status', stopped and 'stopped' or registry, 'ended_at', iso_of(ended_ms))
  note_change(id, key, stopped and 'stopped' or registry)
  if worker then redis.call('HSET', key, 'worker_name', worker) end
  return true
end
