-- How jobs end: what finish, fail, release, cancel and the reapers write in common.
-- include: _ends
-- include: _changes

-- is_leased_by(key, token): whether a record is the one that the lease with this token was made for. An id can be used
-- again while a run of the deleted job with that id still goes on, by programs that run none of these scripts. The end
-- of that run must not become the new job's. claim.lua writes the token; a new record has none, or that of its own run.
local function is_leased_by(key, token)
  return call_own('HGET', key, 'wm_lease') == token
end

-- drop_execution(id, token, worker): deletes RQ's record of a running execution.
local function drop_execution(id, token, worker)
  redis.call('DEL', prefix .. ':execution:' .. id .. ':' .. token)
  redis.call('ZREM', prefix .. ':executions:' .. id, token)
  if worker then redis.call('SREM', prefix .. ':worker:' .. worker .. ':executions', id .. ':' .. token) end
end

-- leave_registries(id, queue, ended_at, status): removes a job that is about to end from registries of earlier ends.
-- Plain RQ clients leave it there if they cancel it while it runs, or enqueue it again after it has ended. Only then is
-- its status 'canceled', or does its record hold an `ended_at`.
local function leave_registries(id, queue, ended_at, status)
  if not ended_at and status ~= 'canceled' then return end
  for _, registry in ipairs({'finished', 'failed', 'canceled'}) do
    redis.call('ZREM', prefix .. ':' .. registry .. ':' .. queue, id)
  end
end

-- was_overwritten(id, status, queue): whether a plain RQ client has written an old status over that of a running job
-- (`Job.save` of a job that it had fetched before the start). If it has enqueued the job anew, the job stands where its
-- status says. `queue` is that of its record.
local WAITS_IN = {scheduled = ':scheduled:', deferred = ':deferred:'}
local function was_overwritten(id, status, queue)
  if status == 'created' then return true end
  if status == 'queued' then return not call_own('LPOS', prefix .. ':queue:' .. queue, id) end
  return WAITS_IN[status] ~= nil and not call_own('ZSCORE', prefix .. WAITS_IN[status] .. queue, id)
end

-- set_ttl(key, seconds): -1 keeps the key forever.
local function set_ttl(key, seconds)
  if seconds < 0 then redis.call('PERSIST', key) else redis.call('EXPIRE', key, seconds) end
end

-- set_dependencies_ttl(id, key, seconds): what RQ keeps of a job that others depend on, or that depends on others.
local function set_dependencies_ttl(id, key, seconds)
  set_ttl(key .. ':dependents', seconds)
  set_ttl(prefix .. ':job::' .. id .. ':dependencies', seconds)
end

-- note_attempt_error(key, iso, worker, reason, trace): keeps why an attempt failed that is not the last one: a line of
-- JSON in a field of the job, because RQ's clients take an entry in the job's results for its end.
local MAX_ATTEMPT_ERRORS_BYTES, MAX_ATTEMPT_ERRORS = 65536, 9
local function note_attempt_error(key, iso, worker, reason, trace)
  local earlier = redis.call('HGET', key, 'wm_errors') or ''
  -- Anything else was written by another program.
  if #earlier > MAX_ATTEMPT_ERRORS_BYTES or string.sub(earlier, -1) ~= '\n' then earlier = '' end
  local lines = earlier .. cjson.encode({ended_at = iso, worker = worker, reason = reason, trace = trace}) .. '\n'
  local _, count = string.gsub(lines, '\n', '')
  while count > 1 and (count > MAX_ATTEMPT_ERRORS or #lines > MAX_ATTEMPT_ERRORS_BYTES) do
    lines, count = string.sub(lines, string.find(lines, '\n') + 1), count - 1
  end
  redis.call('HSET', key, 'wm_errors', lines)
end

-- note_final_error(id, key): keeps why a failed job has failed as the error of an attempt, because it will run again.
local function note_final_error(id, key)
  local last = call_own('XREVRANGE', prefix .. ':results:' .. id, '+', '-', 'COUNT', 1)
  local fields = last and last[1] and last[1][2] or {}
  for i = 1, #fields, 2 do
    if fields[i] == 'exc_string' and #fields[i + 1] <= MAX_ATTEMPT_ERRORS_BYTES then
      local ended_at, worker, reason = unpack(redis.call('HMGET', key, 'ended_at', 'worker_name', 'wm_reason'))
      note_attempt_error(key, ended_at or '', worker or '', reason or '', fields[i + 1])
    end
  end
end

-- record_failure(id, key, queue, failure): ends a job that did not succeed, for good. Fields of `failure`:
--   status   'failed' | 'stopped'
--   reason   jobqueue.model.FailureReason, or ''
--   type     RQ's Result.Type
--   trace    traceback, zlib-compressed, in base64; '' for none
--   value    serialised return value in base64; '' for none
--   worker   its name
--   version  hash of the source of the function's module; '' or nil for none
--   ttl      seconds until the record is deleted; -1 keeps it forever
--   now, iso the time, as a number and as RQ writes it
local function record_failure(id, key, queue, failure)
  redis.call('HSET', key, 'status', failure.status, 'ended_at', failure.iso, 'wm_reason', failure.reason)
  local results = prefix .. ':results:' .. id
  local entry = {'type', failure.type, 'worker_name', failure.worker}
  if failure.trace ~= '' then entry[#entry + 1] = 'exc_string'; entry[#entry + 1] = failure.trace end
  if failure.value ~= '' then entry[#entry + 1] = 'return_value'; entry[#entry + 1] = failure.value end
  if failure.version and failure.version ~= '' then
    entry[#entry + 1] = 'wm_version'; entry[#entry + 1] = failure.version
  end
  redis.call('XADD', results, 'MAXLEN', '~', 10, '*', unpack(entry))
  set_ttl(key, failure.ttl)
  set_ttl(results, failure.ttl)
  set_dependencies_ttl(id, key, failure.ttl)
  local score = '+inf'
  if failure.ttl >= 0 then score = math.floor(failure.now) + failure.ttl end
  redis.call('ZADD', prefix .. ':failed:' .. queue, score, id)
  note_change(id, key, failure.status)
  local at_end, webhooks = unpack(redis.call('HMGET', key, 'wm_at_end', 'webhooks'))
  end_job(id, key, at_end, failure.status, failure.iso)
  if webhooks and webhooks ~= '' then
    record_callback(id, key, failure.status, failure.iso, nil, webhooks, failure.trace)
  end
end

-- record_cancellation(id, key, queue, ttl, now, iso): ends a job that will not start (again).
local function record_cancellation(id, key, queue, ttl, now, iso)
  redis.call('HSET', key, 'status', 'canceled', 'ended_at', iso)
  redis.call('HDEL', key, 'wm_cancel')
  redis.call('ZADD', prefix .. ':canceled:' .. queue, math.floor(now), id)
  set_ttl(key, ttl)
  -- Results of earlier runs.
  set_ttl(prefix .. ':results:' .. id, ttl)
  set_dependencies_ttl(id, key, ttl)
  note_change(id, key, 'canceled')
  end_job(id, key, redis.call('HGET', key, 'wm_at_end'), 'canceled', iso)
end
