-- Puts ended jobs back on their queue and resets their count of losses.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  now as RQ writes it
-- ARGV[3+] for each job: id | the queue that it must be in, else it is missing ('' for any)
-- Returns  for each id: 'missing' | 'queued' (or it waits for a place of its rate limit) | the status that forbids it
--          (only failed, stopped and canceled jobs may)
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _push
-- include: _outcomes
-- include: _places
local now, iso, answers = clock(ARGV[1]), ARGV[2], {}
for i = 3, #ARGV, 2 do
  local id, wanted = ARGV[i], ARGV[i + 1]
  local key = prefix .. ':job:' .. id
  local fields = redis.call('HMGET', key, 'status', 'origin', 'data', 'rate_limit_key')
  local status, queue = fields[1], fields[2] or ''
  if not status or not fields[3] or (wanted ~= '' and wanted ~= queue) then
    answers[#answers + 1] = 'missing'
  elseif status == 'failed' or status == 'stopped' or status == 'canceled' then
    redis.call('ZREM', prefix .. ':failed:' .. queue, id)
    redis.call('ZREM', prefix .. ':canceled:' .. queue, id)
    if status == 'failed' then note_final_error(id, key) end
    -- Without `wm_lease`, the end of a run that a plain RQ client has cancelled, and that goes on, does not count.
    redis.call('HDEL', key, 'wm_losses', 'wm_cancel', 'wm_reason', 'wm_note', 'wm_lease', 'ended_at', 'exc_info')
    redis.call('PERSIST', key)
    redis.call('PERSIST', prefix .. ':results:' .. id)
    if fields[4] and fields[4] ~= '' then
      wait_for_place(id, key, fields[4], now, iso)
    else
      redis.call('HSET', key, 'status', 'queued', 'enqueued_at', iso)
      push(queue, {id}, false)
    end
    answers[#answers + 1] = 'queued'
  else
    answers[#answers + 1] = status
  end
end
return answers
