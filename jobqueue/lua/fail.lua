-- Records jobs that failed, were stopped, or asked for a retry: retries them if retries are left, else ends them.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  now as RQ writes it
-- ARGV[3]  worker
-- ARGV[4+] for each job: id | token | queue | function
--          | kind: failed, final (failed, never retried), stopped, retry (the function returned rq.Retry)
--          | reason | trace (zlib-compressed, in base64) | failure ttl, seconds; for `retry` only, else '':
--          | value (base64) | maximum number of retries | intervals as JSON | '1' to retry at the front;
--          for all: hash of the source of the function's module ('' for none)
-- Returns  {ids whose lease or record is gone, ids that have dependents (RQ's), ids that will run again, ids that
--          other jobs wait for}
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _push
-- include: _schedule
-- include: _outcomes
-- include: _places
local now, iso, worker = clock(ARGV[1]), ARGV[2], ARGV[3]
local lost, parents, retried_ids = {}, {}, {}

-- RQ's rule for a returned Retry (rq.job.Job._handle_retry_result); returns false if all its retries are used up.
local function retry_as_requested(id, key, queue, value, max_retries, intervals, at_front)
  local fields = redis.call('HMGET', key, 'number_of_retries', 'enqueue_at_front_on_retry')
  local retries = number(fields[1], 0, 0, 1e9)
  if retries >= max_retries then return false end
  redis.call('XADD', prefix .. ':results:' .. id, 'MAXLEN', '~', 10, '*',
    'type', '4', 'worker_name', worker, 'return_value', value)
  local interval = 0
  if #intervals > 0 then interval = interval_of(intervals[math.min(#intervals - 1, retries) + 1]) end
  at_front = at_front or fields[2] == '1'
  redis.call('HSET', key, 'number_of_retries', retries + 1, 'enqueue_at_front_on_retry', at_front and '1' or '0')
  retry(id, key, queue, interval, at_front, now, iso)
  return true
end

for i = 4, #ARGV, 13 do
  local id, token, queue, name, kind, reason, trace = unpack(ARGV, i, i + 6)
  local ttl, value, max_retries, intervals, at_front = tonumber(ARGV[i + 7]), unpack(ARGV, i + 8, i + 11)
  local version = ARGV[i + 12]
  local member, key = id .. ':' .. token, prefix .. ':job:' .. id
  -- The first write must be a removal, so that the script also runs when Redis' memory is full.
  if redis.call('ZREM', prefix .. ':wm:leases', member) == 0 then
    lost[#lost + 1] = id
  else
    redis.call('ZREM', prefix .. ':wip:' .. queue, member)
    drop_execution(id, token, worker)
    local status, cancelled, limit_key, ended_at, origin, lease_token = unpack(redis.call('HMGET', key, 'status',
      'wm_cancel', 'rate_limit_key', 'ended_at', 'origin', 'wm_lease'))
    local deleted, retried = lease_token ~= token, false
    if not deleted then leave_registries(id, queue, ended_at, status) end
    if deleted then
      -- A plain RQ client has deleted the job meanwhile, and its id may have been used again: write nothing.
      lost[#lost + 1] = id
    elseif cancelled then
      kind, value = 'stopped', ''
    elseif status == 'queued' and not was_overwritten(id, status, origin or queue) then
      -- A plain RQ client has enqueued it again meanwhile: it runs again anyway.
      retried = true
    elseif kind == 'retry' then
      local seconds = intervals_of(intervals)
      retried = retry_as_requested(id, key, queue, value, tonumber(max_retries), seconds, at_front == '1')
    elseif kind == 'failed' then
      retried = retry_after_failure(id, key, queue, now, iso)
      if retried then note_attempt_error(key, iso, worker, reason, trace) end
    end
    if retried then
      retried_ids[#retried_ids + 1] = id
    elseif not deleted then
      record_failure(id, key, queue, {
        status = kind == 'stopped' and 'stopped' or 'failed', reason = reason, trace = trace, value = value,
        type = kind == 'retry' and '5' or '2', worker = worker, ttl = ttl, now = now, iso = iso, version = version,
      })
      if kind ~= 'stopped' and #note_parents({id}, 'failed') > 0 then parents[#parents + 1] = id end
      redis.call('HINCRBY', prefix .. ':wm:' .. (kind == 'stopped' and 'stopped' or 'failed'), name, 1)
    end
    -- A job that is retried later waits for a place again, as with RQ.
    if limit_key and not deleted and not (retried and redis.call('HGET', key, 'status') == 'queued') then
      give_back_place(id, limit_key, now, iso)
    end
  end
end
return {lost, parents, retried_ids, ended_parents}
