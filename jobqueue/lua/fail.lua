-- Records jobs that failed, were stopped, or asked to be tried again: retried where retries are left, else ended.
-- KEYS[1]  the shard's prefix
-- ARGV     now, now as RQ writes it, worker, then for each job:
--          id | token | queue | function | kind: failed, final (failed, never retried), stopped, retry (the function
--          returned rq.Retry) | reason | trace (base64 of zlib) | failure ttl | value (base64, retry only)
--          | most retries | intervals as JSON | '1' to retry at the front (these three: retry only)
-- Returns  {ids whose lease was gone, ids that have dependents, ids that are to run again}
local prefix = KEYS[1]
-- include: _clock
-- include: _push
-- include: _schedule
-- include: _outcomes
local now, iso, worker = clock(ARGV[1]), ARGV[2], ARGV[3]
local lost, with_dependents, again = {}, {}, {}

-- RQ's rule for a returned Retry (rq.job.Job._handle_retry_result); false where its most retries are used up.
local function retry_as_asked(id, key, queue, value, most, intervals, at_front)
  local fields = redis.call('HMGET', key, 'number_of_retries', 'enqueue_at_front_on_retry')
  local retries = tonumber(fields[1] or 0) or 0
  if retries >= most then return false end
  redis.call('XADD', prefix .. ':results:' .. id, 'MAXLEN', '~', 10, '*',
    'type', '4', 'worker_name', worker, 'return_value', value)
  local interval = 0
  if #intervals > 0 then interval = intervals[math.min(#intervals - 1, retries) + 1] end
  at_front = at_front or fields[2] == '1'
  redis.call('HSET', key, 'number_of_retries', retries + 1, 'enqueue_at_front_on_retry', at_front and '1' or '0')
  retry(id, key, queue, interval, at_front, now, iso)
  return true
end

for i = 4, #ARGV, 12 do
  local id, token, queue, name, kind, reason, trace = unpack(ARGV, i, i + 6)
  local ttl, value, most, intervals, at_front = tonumber(ARGV[i + 7]), unpack(ARGV, i + 8, i + 11)
  local member, key = id .. ':' .. token, prefix .. ':job:' .. id
  -- The first write is a removal, so that a full Redis still takes what ends jobs.
  if redis.call('ZREM', prefix .. ':wm:leases', member) == 0 then
    lost[#lost + 1] = id
  else
    redis.call('ZREM', prefix .. ':wip:' .. queue, member)
    drop_execution(id, token, worker)
    local status, cancelled = unpack(redis.call('HMGET', key, 'status', 'wm_cancel'))
    local gone, retried = not status, false
    if gone then
      -- Deleted meanwhile (a stock client can): nothing may come of it.
      lost[#lost + 1] = id
    elseif cancelled then
      kind, value = 'stopped', ''
    elseif kind == 'retry' then
      retried = retry_as_asked(id, key, queue, value, tonumber(most), cjson.decode(intervals), at_front == '1')
    elseif kind == 'failed' then
      retried = retry_after_failure(id, key, queue, now, iso)
    end
    if retried then
      again[#again + 1] = id
    elseif not gone then
      fail(id, key, queue, {
        status = kind == 'stopped' and 'stopped' or 'failed', reason = reason, trace = trace, value = value,
        type = kind == 'retry' and '5' or '2', worker = worker, ttl = ttl, now = now, iso = iso,
      })
      if #remember_dependents({id}) > 0 then with_dependents[#with_dependents + 1] = id end
      redis.call('HINCRBY', prefix .. ':wm:' .. (kind == 'stopped' and 'stopped' or 'failed'), name, 1)
    end
  end
end
return {lost, with_dependents, again}
