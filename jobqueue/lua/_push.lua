-- How jobs get onto a queue, and how idle workers learn of them (docs/decisions/0003).
local WAKE_TOKENS = 16

-- add_wake_tokens(queue, count): adds up to `count` wake-up tokens, at most 16 in all. A token wakes one worker that
-- names the queue; for the queue '*' one that serves every queue.
local function add_wake_tokens(queue, count)
  local key = prefix .. ':wm:wake:' .. queue
  local missing = math.min(count, WAKE_TOKENS - redis.call('LLEN', key))
  for _ = 1, missing do redis.call('RPUSH', key, '1') end
end

-- wake(queue, count): wakes up to `count` idle workers of each kind for the queue. A worker that claims and leaves jobs
-- behind wakes the next.
local function wake(queue, count)
  add_wake_tokens(queue, count)
  add_wake_tokens('*', count)
end

-- join_turns(queue): lets workers that serve every queue know that this one has jobs (see _turns.lua).
local function join_turns(queue)
  local turns = prefix .. ':wm:turns'
  local last_served = redis.pcall('ZSCORE', turns, '')
  -- Something else stands under this key.
  if type(last_served) == 'table' then redis.call('DEL', turns) end
  redis.call('ZADD', turns, 'NX', (tonumber(last_served) or 0) + 0.5, prefix .. ':queue:' .. queue)
end

-- push(queue, ids, at_front): puts ids on a queue in order, the first id next in line, and wakes idle workers.
local function push(queue, ids, at_front)
  local key = prefix .. ':queue:' .. queue
  local length = 0
  if at_front then
    for i = #ids, 1, -1 do length = redis.call('LPUSH', key, ids[i]) end
  else
    for i = 1, #ids, 1000 do length = redis.call('RPUSH', key, unpack(ids, i, math.min(i + 999, #ids))) end
  end
  -- A queue that had jobs is known already.
  if length == #ids then
    redis.call('SADD', prefix .. ':queues', key)
    join_turns(queue)
  end
  wake(queue, #ids)
end
