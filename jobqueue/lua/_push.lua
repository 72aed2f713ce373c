-- How jobs get onto a queue, and how idle workers learn of them (docs/decisions/0003).
local WAKE_TOKENS = 16

-- wake(queue, count): adds up to `count` wake-up tokens, at most 16 in all. A token wakes one worker; a worker that
-- claims and leaves jobs behind wakes the next.
local function wake(queue, count)
  local key = prefix .. ':wm:wake:' .. queue
  local missing = math.min(count, WAKE_TOKENS - redis.call('LLEN', key))
  for _ = 1, missing do redis.call('RPUSH', key, '1') end
end

-- push(queue, ids, at_front): puts ids on a queue in order, the first id next in line, and wakes idle workers.
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
