-- Cancels jobs: removes waiting ones, and asks the workers of running ones to stop them.
-- The only script that may walk a whole queue: LREM searches the list for the id.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  now as RQ writes it
-- ARGV[3]  ttl of a cancelled job, seconds
-- ARGV[4+] for each job: id | the queue that it must be in, else it is missing ('' for any)
-- Returns  for each id: {'missing'} | {'canceled'} | {'stopping', worker} | {'ended', status}
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _outcomes
-- include: _push
-- include: _places
local now, iso, ttl = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local ENDED = {finished = true, failed = true, stopped = true, canceled = true}
-- A job that waits elsewhere than in its queue. One with an unknown status may stand there.
local AWAY = {scheduled = true, deferred = true, created = true, rate_limited = true, ready_to_enqueue = true}
local answers = {}

-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('ZREM', prefix .. ':wm:leases', '')

local function stop(id, key, worker)
  redis.call('HSET', key, 'wm_cancel', '1')
  if redis.call('ZSCORE', prefix .. ':wm:workers', worker) then
    local commands = prefix .. ':wm:commands:' .. worker
    redis.call('RPUSH', commands, cjson.encode({verb = 'cancel', job_id = id}))
    redis.call('EXPIRE', commands, 60)
  else
    -- A plain RQ worker gets RQ's own command (rq.command.send_stop_job_command).
    redis.call('PUBLISH', prefix .. ':pubsub:' .. worker, cjson.encode({command = 'stop-job', job_id = id}))
  end
  return {'stopping', worker}
end

for i = 4, #ARGV, 2 do
  local id, wanted = ARGV[i], ARGV[i + 1]
  local key = prefix .. ':job:' .. id
  local fields = redis.call('HMGET', key, 'status', 'origin', 'worker_name', 'rate_limit_key')
  local status, queue = fields[1], fields[2] or ''
  if not status or (wanted ~= '' and wanted ~= queue) then
    answers[#answers + 1] = {'missing'}
  elseif status == 'started' then
    answers[#answers + 1] = stop(id, key, fields[3] or '')
  elseif not ENDED[status] then
    if not AWAY[status] then redis.call('LREM', prefix .. ':queue:' .. queue, 1, id) end
    redis.call('ZREM', prefix .. ':scheduled:' .. queue, id)
    redis.call('ZREM', prefix .. ':deferred:' .. queue, id)
    redis.call('ZREM', prefix .. ':ready:' .. queue, id)
    record_cancellation(id, key, queue, ttl, now, iso)
    if status == 'deferred' then redis.call('EXPIRE', prefix .. ':wm:parents:' .. id, ttl) end
    give_back_place(id, fields[4], now, iso)
    answers[#answers + 1] = {'canceled'}
  else
    answers[#answers + 1] = {'ended', status}
  end
end
return answers
