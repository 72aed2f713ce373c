-- How jobs get onto a queue, and how idle workers learn of them (docs/decisions/0003).
local WAKE_TOKENS = 16

-- missing_tokens(queue, count): how many of `count` wake-up tokens there is room for. A token wakes one worker that
-- names the queue; for the queue '*' one that serves every queue.
local function missing_tokens(queue, count)
  return math.min(count, WAKE_TOKENS - redis.call('LLEN', prefix .. ':wm:wake:' .. queue))
end

-- add_tokens(queue, count): adds exactly that many.
local function add_tokens(queue, count)
  for _ = 1, count do redis.call('RPUSH', prefix .. ':wm:wake:' .. queue, '1') end
end

-- add_wake_tokens(queue, count): adds up to `count` tokens, at most 16 in all.
local function add_wake_tokens(queue, count)
  add_tokens(queue, missing_tokens(queue, count))
end

-- wake(queue, count): wakes up to `count` idle workers of each kind for the queue; nobody if it is paused, which is
-- asked only if somebody would be woken. A worker that claims and leaves jobs behind wakes the next.
local function wake(queue, count)
  local own, shared = missing_tokens(queue, count), missing_tokens('*', count)
  if own < 1 and shared < 1 then return end
  if redis.pcall('HEXISTS', prefix .. ':wm:paused', queue) == 1 then return end
  add_tokens(queue, own)
  add_tokens('*', shared)
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
  -- A queue that had jobs is known already, unless a program has pushed to its list and done nothing else.
  if redis.call('SADD', prefix .. ':queues', key) == 1 or length == #ids then join_turns(queue) end
  wake(queue, #ids)
end
