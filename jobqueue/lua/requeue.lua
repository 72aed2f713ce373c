-- Puts ended jobs back on their queue and resets their count of losses.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  now as RQ writes it
-- ARGV[3+] for each job: id | the queue that it must be in, else it is missing ('' for any)
-- Returns  for each id: 'missing' | 'queued' (or it waits for a place of its rate limit) | 'deferred' (it waits for
--          other jobs again) | the status that forbids it (only failed, stopped and canceled jobs may)
--          | 'dependency_failed' (it was canceled because of another job, and returns with that one)
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _push
-- include: _outcomes
-- include: _places
-- include: _limits
local now, iso, answers = clock(ARGV[1]), ARGV[2], {}
for i = 3, #ARGV, 2 do
  local id, wanted = ARGV[i], ARGV[i + 1]
  local key = prefix .. ':job:' .. id
  local fields = redis.call('HMGET', key, 'status', 'origin', 'data', 'rate_limit_key', 'wm_reason', 'wm_at_end')
  local status, queue = fields[1], fields[2] or ''
  if not status or not fields[3] or (wanted ~= '' and wanted ~= queue) then
    answers[#answers + 1] = 'missing'
  elseif status == 'canceled' and fields[5] == 'dependency_failed' then
    answers[#answers + 1] = 'dependency_failed'
  elseif status == 'failed' or status == 'stopped' or status == 'canceled' then
    redis.call('ZREM', prefix .. ':failed:' .. queue, id)
    redis.call('ZREM', prefix .. ':canceled:' .. queue, id)
    if status == 'failed' then note_final_error(id, key) end
    -- Without `wm_lease`, the end of a run that a plain RQ client has cancelled, and that goes on, does not count.
    redis.call('HDEL', key, 'wm_losses', 'wm_cancel', 'wm_reason', 'wm_note', 'wm_lease', 'wm_in_lane', 'wm_progress',
      'wm_abandoned', 'ended_at', 'exc_info')
    redis.call('PERSIST', key)
    redis.call('PERSIST', prefix .. ':results:' .. id)
    set_dependencies_ttl(id, key, -1)
    if fields[6] and string.find(fields[6], 'd', 1, true) then redis.call('HSET', prefix .. ':wm:settle', id, 'requeued') end
    local waits = status == 'canceled' and redis.call('EXISTS', prefix .. ':wm:parents:' .. id) == 1
    if waits then
      redis.call('HSET', key, 'status', 'deferred')
      note_change(id, key, 'deferred')
      redis.call('PERSIST', prefix .. ':wm:parents:' .. id)
      redis.call('ZADD', prefix .. ':deferred:' .. queue, deferred_score(now), id)
      redis.call('ZADD', prefix .. ':wm:registering', now, id)
    elseif fields[4] and fields[4] ~= '' then
      wait_for_place(id, key, fields[4], now, iso)
    else
      queue_job(id, key, queue, false, iso)
    end
    answers[#answers + 1] = waits and 'deferred' or 'queued'
  else
    answers[#answers + 1] = status
  end
end
return answers
