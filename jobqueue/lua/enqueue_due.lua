-- Moves jobs that are due to their queue, while holding RQ's scheduler lock of that queue: a stock scheduler beside us
-- moves them in several steps, and one job would be queued twice.
-- KEYS[1]  the shard's prefix
-- ARGV     now, now as RQ writes it, owner of the lock, its seconds, queue, limit
-- Returns  how many were moved; -1 where somebody else holds the lock
local prefix = KEYS[1]
-- include: _clock
-- include: _push
local now, iso, owner, queue = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[5]
local lock, scheduled = prefix .. ':scheduler-lock:' .. queue, prefix .. ':scheduled:' .. queue

local ids = redis.call('ZRANGEBYSCORE', scheduled, 0, now, 'LIMIT', 0, ARGV[6])
local holder = redis.call('GET', lock)
if holder and holder ~= owner then return -1 end
if #ids == 0 then
  if holder then redis.call('EXPIRE', lock, ARGV[4]) end
  return 0
end
-- The first write is a removal, so that a full Redis still moves jobs.
redis.call('ZREM', scheduled, unpack(ids))
redis.call('SET', lock, owner, 'EX', ARGV[4])
local back, front = {}, {}
for _, id in ipairs(ids) do
  local key = prefix .. ':job:' .. id
  local fields = redis.call('HMGET', key, 'data', 'enqueue_at_front', 'enqueue_at_front_on_retry', 'ended_at', 'status',
    'started_at')
  if fields[1] and fields[5] == 'scheduled' then
    redis.call('HSET', key, 'status', 'queued', 'enqueued_at', iso)
    -- RQ's rule (rq.job.Job.should_enqueue_at_front); a job that ran before counts as ended.
    local ran = (fields[4] and fields[4] ~= '') or (fields[6] and fields[6] ~= '')
    local at_front = fields[2] == '1' or (fields[3] == '1' and ran)
    local target = at_front and front or back
    target[#target + 1] = id
  end
end
if #front > 0 then push(queue, front, true) end
if #back > 0 then push(queue, back, false) end
return #ids
