-- Enqueues scheduled jobs that are due, while holding RQ's scheduler lock of the queue. RQ's own scheduler moves a job
-- in several steps: without the lock, a job would be queued twice if such a scheduler runs at the same time.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  now as RQ writes it
-- ARGV[3]  owner of the lock, ARGV[4] seconds that it holds the lock
-- ARGV[5]  queue
-- ARGV[6]  maximum number of jobs
-- Returns  number of jobs removed from the schedule; -1 if someone else holds the lock
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _push
-- include: _places
-- include: _outcomes
-- include: _restored
-- include: _limits
local now, iso, owner, queue = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[5]
local lock, scheduled = prefix .. ':scheduler-lock:' .. queue, prefix .. ':scheduled:' .. queue

local ids = redis.call('ZRANGEBYSCORE', scheduled, 0, now, 'LIMIT', 0, ARGV[6])
local holder = redis.call('GET', lock)
if holder and holder ~= owner then return -1 end
if #ids == 0 then
  if holder then redis.call('EXPIRE', lock, ARGV[4]) end
  return 0
end
-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('ZREM', scheduled, unpack(ids))
redis.call('SET', lock, owner, 'EX', ARGV[4])
local back, front = {}, {}
for _, id in ipairs(ids) do
  local key = prefix .. ':job:' .. id
  local fields = redis.call('HMGET', key, 'data', 'enqueue_at_front', 'enqueue_at_front_on_retry', 'ended_at', 'status',
    'started_at', 'rate_limit_key', 'wm_lease', 'wm_lane')
  local status = fields[5]
  local is_due = fields[1] and status and (status == 'scheduled' or stands_nowhere(id, status, queue, fields[8]))
  if is_due and fields[7] and fields[7] ~= '' then
    wait_for_place(id, key, fields[7], now, iso)
  elseif is_due then
    -- RQ's rule (rq.job.Job.should_enqueue_at_front); a job that has run before counts as ended.
    local ran = (fields[4] and fields[4] ~= '') or (fields[6] and fields[6] ~= '')
    local at_front = fields[2] == '1' or (fields[3] == '1' and ran)
    if fields[9] then
      queue_job(id, key, queue, at_front, iso)
    else
      redis.call('HSET', key, 'status', 'queued', 'enqueued_at', iso)
      note_change(id, key, 'queued')
      local target = at_front and front or back
      target[#target + 1] = id
    end
  end
end
-- As RQ does it: the last one is next in line.
for _, id in ipairs(front) do push(queue, {id}, true) end
if #back > 0 then push(queue, back, false) end
return #ids
