-- Runs a schedule at one instant: enqueues the job and moves the schedule on, or neither.
-- The job is written by `enqueue.lua`, which is the end of this script: a run is as any other job.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  name of the schedule
-- ARGV[3]  revision, and ARGV[4] next instant, that the schedule must still have ('' for a run that somebody asked for)
-- ARGV[5]  the instant to run ('' for none: the schedule only moves on)
-- ARGV[6]  the next instant afterwards ('' for none), ARGV[7] seconds by which runs are later than their instants
-- ARGV[8]  overlap: skip | queue | allow | replace
-- ARGV[9]  first missed instant ('' for none), ARGV[10] number of missed instants
-- ARGV[11] id of the job
-- ARGV[12] seconds after which a run counts as late, ARGV[13] rows that the history keeps
-- ARGV[14+] as for enqueue.lua: one job, with this id; nothing without an instant to run
-- Returns  {'changed'}: somebody else was first | {'moved'} | {'skipped' | 'held', id of a run that has not ended, ...}
--          | {'taken'}: another job has the id | what enqueue.lua returns
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
local now, name, revision, expected, run, next_instant = clock(ARGV[1]), unpack(ARGV, 2, 6)
local overlap, missed_first, missed_count, job_id = unpack(ARGV, 8, 11)
local schedules, key = prefix .. ':wm:schedules', prefix .. ':wm:schedule:' .. name
local history, active, counts = key .. ':history', key .. ':active', prefix .. ':wm:schedules:runs'
local manual = expected == ''
local ENDED = {finished = true, failed = true, stopped = true, canceled = true}
local MAX_ACTIVE = 100

local function note(row, count)
  row.at = now
  redis.call('LPUSH', history, cjson.encode(row))
  redis.call('LTRIM', history, 0, ARGV[13] - 1)
  redis.call('HINCRBY', counts, row.outcome, count or 1)
  if row.outcome == 'missed' then
    redis.call('HINCRBY', key, 'missed', count or 1)
    redis.call('HSET', key, 'missed_at', string.format('%.17g', now))
  end
end

-- Returns the ids of the runs that have not ended, and forgets the others.
local function unended()
  local ids = {}
  for _, id in ipairs(redis.call('LRANGE', active, 0, -1)) do
    local status = redis.call('HGET', prefix .. ':job:' .. id, 'status')
    if status and not ENDED[status] then ids[#ids + 1] = id else redis.call('LREM', active, 0, id) end
  end
  return ids
end

local function move_on(last)
  redis.call('HSET', key, 'next', next_instant)
  if last then redis.call('HSET', key, 'last', last) end
  local due = next_instant ~= '' and tonumber(next_instant) + tonumber(ARGV[7])
  if not due or due > now then redis.call('HDEL', key, 'held') end
  redis.call('ZADD', schedules, due and string.format('%.17g', due) or '+inf', name)
end

local stored = redis.call('HMGET', key, 'revision', 'next', 'paused', 'last', 'held')
if stored[1] ~= revision then return {'changed'} end
if not manual and (stored[2] ~= expected or stored[3]) then return {'changed'} end

if not manual then
  local blocked = {}
  local repeated = run ~= '' and tonumber(run) <= number(stored[4], -1, -1, 1e12)
  if run ~= '' and overlap ~= 'allow' and not repeated then blocked = unended() end
  if #blocked > 0 and overlap ~= 'skip' then
    if not stored[5] then redis.call('HSET', key, 'held', '1') end
    return {'held', unpack(blocked)}
  end
  if missed_first ~= '' then
    note({instant = tonumber(missed_first), outcome = 'missed', count = tonumber(missed_count)}, missed_count)
  end
  if run == '' or repeated then
    move_on()
    return {'moved'}
  end
  move_on(run)
  if #blocked > 0 then
    note({instant = tonumber(run), outcome = 'skipped', job_id = blocked[1]})
    return {'skipped', unpack(blocked)}
  end
  if redis.call('EXISTS', prefix .. ':job:' .. job_id) == 1 then
    note({instant = tonumber(run), outcome = 'missed', job_id = job_id, count = 1})
    return {'taken'}
  end
  redis.call('HINCRBY', key, 'runs', 1)
elseif overlap ~= 'allow' then
  local blocked = unended()
  if #blocked > 0 then return {'skipped', unpack(blocked)} end
end

local row = {instant = manual and now or tonumber(run), outcome = manual and 'triggered' or 'fired', job_id = job_id}
local late_seconds = manual and 0 or now - tonumber(run) - tonumber(ARGV[7])
if late_seconds > tonumber(ARGV[12]) then
  row.late_seconds = late_seconds
  if stored[5] then row.waited = true else redis.call('HINCRBY', counts, 'late', 1) end
end
note(row)
redis.call('LPUSH', active, job_id)
redis.call('LTRIM', active, 0, MAX_ACTIVE - 1)
-- What RQ's tools read of cron jobs (rq.cron.CronJob.enqueue): at most 1000 runs, for a year.
local rq_history = prefix .. ':cron_job:' .. name .. ':jobs'
redis.call('ZADD', rq_history, now, job_id)
redis.call('ZREMRANGEBYRANK', rq_history, 0, -1001)
redis.call('EXPIRE', rq_history, 31536000)
redis.call('ZADD', prefix .. ':cron_jobs', now, name)

local ARGV = {unpack(ARGV, 14)}
-- include: enqueue
