-- Wakes an idle worker for each queue that has jobs and no wake-up token, and lets the queue join the turns (_turns.lua):
-- plain RQ clients do neither when they enqueue.
-- KEYS[1]  shard prefix
-- ARGV[1+] queues
-- Returns  how many tokens were added | those of these queues that have jobs and are not paused
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _push
-- include: _limits
-- include: _idle
local waiting, is_paused, now, added = {}, {}, clock(''), 0
for _, queue in ipairs(redis.pcall('HKEYS', prefix .. ':wm:paused')) do is_paused[queue] = true end
for _, queue in ipairs(queues_with({':queue:', ':wm:ring:', ':wm:later:'}, 1)) do
  local length = redis.pcall('LLEN', prefix .. ':queue:' .. queue)
  for _, lane in ipairs(redis.call('ZRANGEBYSCORE', later_of(queue), '-inf', now, 'LIMIT', 0, 100)) do
    redis.call('ZREM', later_of(queue), lane)
    enter_ring(queue, lane)
  end
  -- Something that is no list has no jobs.
  local has_jobs = type(length) == 'number' and length > 0 or redis.call('EXISTS', ring_of(queue)) == 1
  if has_jobs and not is_paused[queue] then
    waiting[#waiting + 1] = queue
    join_turns(queue)
    for _, name in ipairs({queue, '*'}) do
      if redis.call('EXISTS', prefix .. ':wm:wake:' .. name) == 0 then
        add_wake_tokens(name, 1)
        added = added + 1
      end
    end
  end
end
return {added, unpack(waiting)}
