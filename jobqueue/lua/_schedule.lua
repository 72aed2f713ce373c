-- How a job is retried.
-- include: _limits

-- retry(id, key, queue, interval, at_front, now, iso): queues a job again, now or after `interval` seconds.
local function retry(id, key, queue, interval, at_front, now, iso)
  if interval > 0 then
    redis.call('HSET', key, 'status', 'scheduled')
    note_change(id, key, 'scheduled')
    -- RQ's schedulers, and a rate limit that it waits for then, see that it has run before by this alone.
    if at_front then redis.call('HSET', key, 'enqueue_at_front', '1') end
    leave_limits(id, redis.call('HGET', key, 'wm_limits'))
    redis.call('ZADD', prefix .. ':scheduled:' .. queue, math.ceil(now + interval), id)
    redis.call('SADD', prefix .. ':queues', prefix .. ':queue:' .. queue)
  else
    queue_job(id, key, queue, at_front, iso)
  end
end

-- intervals_of(text): the list in a field or argument; {} if it is none.
local function intervals_of(text)
  local decoded, intervals = pcall(cjson.decode, text)
  return decoded and type(intervals) == 'table' and intervals or {}
end

-- interval_of(value): an entry of such a list, in seconds; 0 if it is no number.
local function interval_of(value)
  return type(value) ~= 'table' and number(value, 0, 0, MAX_TTL_SECONDS) or 0
end

-- retry_after_failure(id, key, queue, now, iso): uses up one of the job's retries, by RQ's rule (rq.job.Job.retry,
-- get_retry_interval). Returns false if none is left.
local function retry_after_failure(id, key, queue, now, iso)
  local fields = redis.call('HMGET', key, 'retries_left', 'retry_intervals', 'enqueue_at_front_on_retry')
  local left = number(fields[1], 0, 0, 1e9)
  if left < 1 then return false end
  local interval = 0
  if fields[2] then
    local intervals = intervals_of(fields[2])
    if #intervals > 0 then interval = intervals[math.min(math.max(#intervals - left, 0) + 1, #intervals)] end
    interval = interval_of(interval)
  end
  redis.call('HSET', key, 'retries_left', left - 1)
  retry(id, key, queue, interval, fields[3] == '1', now, iso)
  return true
end
