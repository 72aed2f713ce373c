-- Puts ended jobs back on their queue and resets their count of losses.
-- KEYS[1]  shard prefix
-- ARGV[1]  now as RQ writes it
-- ARGV[2+] job ids
-- Returns  for each id: 'missing' | 'queued' | the status that forbids it (only failed, stopped and canceled jobs may)
local prefix = KEYS[1]
-- include: _push
local iso, answers = ARGV[1], {}
for i = 2, #ARGV do
  local id = ARGV[i]
  local key = prefix .. ':job:' .. id
  local fields = redis.call('HMGET', key, 'status', 'origin', 'data')
  local status, queue = fields[1], fields[2] or ''
  if not status or not fields[3] then
    answers[#answers + 1] = 'missing'
  elseif status == 'failed' or status == 'stopped' or status == 'canceled' then
    redis.call('ZREM', prefix .. ':failed:' .. queue, id)
    redis.call('ZREM', prefix .. ':canceled:' .. queue, id)
    redis.call('HDEL', key, 'wm_losses', 'wm_cancel', 'wm_reason', 'ended_at', 'exc_info')
    redis.call('PERSIST', key)
    redis.call('PERSIST', prefix .. ':results:' .. id)
    redis.call('HSET', key, 'status', 'queued', 'enqueued_at', iso)
    push(queue, {id}, false)
    answers[#answers + 1] = 'queued'
  else
    answers[#answers + 1] = status
  end
end
return answers
