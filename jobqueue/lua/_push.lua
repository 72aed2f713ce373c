-- push(queue, ids, at_front): puts ids on a queue, the first of them next in line, and wakes idle workers.
-- wake(queue, count): a token wakes one worker; whoever claims and leaves jobs behind wakes the next.
local WAKE_TOKENS = 16

local function wake(queue, count)
  local key = prefix .. ':wm:wake:' .. queue
  local missing = math.min(count, WAKE_TOKENS - redis.call('LLEN', key))
  for _ = 1, missing do redis.call('RPUSH', key, '1') end
end

local function push(queue, ids, at_front)
  local key = prefix .. ':queue:' .. queue
  if at_front then
    for i = #ids, 1, -1 do redis.call('LPUSH', key, ids[i]) end
  else
    for i = 1, #ids, 1000 do redis.call('RPUSH', key, unpack(ids, i, math.min(i + 999, #ids))) end
  end
  redis.call('SADD', prefix .. ':queues', key)
  wake(queue, #ids)
end
