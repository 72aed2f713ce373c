-- Runs schedules, each at one instant: enqueues the job and moves the schedule on, or neither. Many are due at the same
-- time, so what their runs share is written once for all.
-- The jobs are written by `enqueue.lua`, which is included: a run is as any other job.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  seconds after which a run counts as late, ARGV[3] rows that a history keeps
-- ARGV[4]  a list in JSON with a list for each schedule, of which none comes twice: name, revision, and next instant,
--          that it must still have ('' for a run that somebody asked for), the instant to run ('' for none: it only
--          moves on), when that was due, the next instant afterwards ('' for none), when that is due (+inf), overlap
--          (skip, queue, allow or replace), first missed instant ('' for none), number of missed instants, id of the job
--          ('' for none)
-- ARGV[5+] as for enqueue.lua: in order, a job with each of these ids; nothing if there are none
-- Returns  for each in order: 'changed' (somebody else was first) | 'moved' | 'written' | 'taken' (another job has the id)
--          | {'skipped' | 'held', id of a run that has not ended, ...}
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
local now, late_after, max_rows = clock(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now_text = string.format('%.17g', now)
-- Lists are shortened when they are longer by SLACK; so much less often.
local MAX_ACTIVE, MAX_RQ_RUNS, SLACK, DAY_SECONDS, YEAR_SECONDS = 100, 1000, 50, 86400, 31536000
local ENDED = {finished = true, failed = true, stopped = true, canceled = true}

-- enqueue_jobs(ARGV): as enqueue.lua.
local function enqueue_jobs(ARGV)
-- include: enqueue
end

-- unended(schedule): ids of its runs that have not ended; the others are forgotten.
local function unended(schedule)
  local active, ids = schedule.key .. ':active', {}
  for _, id in ipairs(redis.call('LRANGE', active, 0, -1)) do
    local status = redis.call('HGET', prefix .. ':job:' .. id, 'status')
    if status and not ENDED[status] then ids[#ids + 1] = id else redis.call('LREM', active, 0, id) end
  end
  return ids
end

-- decide(schedule): what becomes of it; nil if its job is to be written.
local function decide(schedule)
  local next_instant, paused, last
  local stored = redis.call('HMGET', schedule.key, 'revision', 'next', 'paused', 'last', 'held', 'runs')
  next_instant, paused, last, schedule.was_held, schedule.runs = unpack(stored, 2, 6)
  if stored[1] ~= schedule.revision then return 'changed' end
  if not schedule.is_manual then
    if next_instant ~= schedule.expected or paused then return 'changed' end
    if schedule.run == '' or tonumber(schedule.run) <= number(last, -1, -1, 1e12) then return 'moved' end
  end
  if schedule.overlap == 'allow' then return nil end
  schedule.blocked = unended(schedule)
  if #schedule.blocked == 0 then return nil end
  return (schedule.is_manual or schedule.overlap == 'skip') and 'skipped' or 'held'
end

-- What is written once for all of this call: numbers of runs by outcome, scores and members of two sorted sets.
local counts, due, run_at = {}, {}, {}

-- push_row(key, row, most): adds a row at the head of a list that keeps about so many.
local function push_row(key, row, most)
  if redis.call('LPUSH', key, row) > most + SLACK then redis.call('LTRIM', key, 0, most - 1) end
end

-- note(schedule, outcome, instant, more, times): adds a row to its history, as cjson would encode it. `instant` is a text;
-- `more` has further fields.
local function note(schedule, outcome, instant, more, times)
  local row = string.format('{"at":%s,"instant":%s,"outcome":"%s"%s}', now_text, instant, outcome, more)
  push_row(schedule.key .. ':history', row, max_rows)
  counts[outcome] = (counts[outcome] or 0) + times
  if outcome == 'missed' then
    redis.call('HINCRBY', schedule.key, 'missed', times)
    redis.call('HSET', schedule.key, 'missed_at', now_text)
  end
end

-- with_id(id): the field of such a row that names a job.
local function with_id(id) return ',"job_id":' .. cjson.encode(id) end

-- note_run(schedule): adds the run that was written.
local function note_run(schedule)
  local id, is_manual, more = schedule.job_id, schedule.is_manual, with_id(schedule.job_id)
  local late_seconds = is_manual and 0 or now - tonumber(schedule.run_due)
  if late_seconds > late_after then
    more = more .. ',"late_seconds":' .. cjson.encode(late_seconds)
    if schedule.was_held then more = more .. ',"waited":true' else counts.late = (counts.late or 0) + 1 end
  end
  note(schedule, is_manual and 'triggered' or 'fired', is_manual and now_text or schedule.run, more, 1)
  push_row(schedule.key .. ':active', id, MAX_ACTIVE)
  -- What RQ's tools read of cron jobs (rq.cron.CronJob.enqueue): about 1,000 runs, for about a year.
  local rq_history = prefix .. ':cron_job:' .. schedule.name .. ':jobs'
  redis.call('ZADD', rq_history, now_text, id)
  if is_manual or schedule.runs % SLACK == 1 or tonumber(schedule.due) - now > DAY_SECONDS then
    redis.call('ZREMRANGEBYRANK', rq_history, 0, -MAX_RQ_RUNS - 1)
    redis.call('EXPIRE', rq_history, YEAR_SECONDS)
  end
  run_at[#run_at + 1], run_at[#run_at + 2] = now_text, schedule.name
end

-- move_on(schedule, ...): to its next instant; further fields and values are stored with it.
local function move_on(schedule, ...)
  redis.call('HSET', schedule.key, 'next', schedule.following, ...)
  if schedule.was_held and (schedule.following == '' or tonumber(schedule.due) > now) then
    redis.call('HDEL', schedule.key, 'held')
  end
  due[#due + 1], due[#due + 2] = schedule.due, schedule.name
end

-- settle(schedule, outcome): writes down what has become of it.
local function settle(schedule, outcome)
  if outcome == 'changed' or (schedule.is_manual and outcome ~= 'written') then return end
  if schedule.is_manual then return note_run(schedule) end
  if outcome == 'held' then
    if not schedule.was_held then redis.call('HSET', schedule.key, 'held', '1') end
    return
  end
  local run, missed, times = schedule.run, schedule.missed_first, schedule.missed_count
  if missed ~= '' then note(schedule, 'missed', missed, ',"count":' .. times, times) end
  if outcome == 'moved' then return move_on(schedule) end
  if outcome == 'written' then
    schedule.runs = number(schedule.runs, 0, 0, 2^53) + 1
    move_on(schedule, 'last', run, 'runs', string.format('%.0f', schedule.runs))
    return note_run(schedule)
  end
  move_on(schedule, 'last', run)
  if outcome == 'skipped' then
    note(schedule, 'skipped', run, with_id(schedule.blocked[1]), 1)
  else
    note(schedule, 'missed', run, with_id(schedule.job_id) .. ',"count":1', 1)
  end
end

local all, outcomes = {}, {}
for number, row in ipairs(cjson.decode(ARGV[4])) do
  local schedule = {name = row[1], revision = row[2], expected = row[3], run = row[4], run_due = row[5],
    following = row[6], due = row[7], overlap = row[8], missed_first = row[9], missed_count = row[10], job_id = row[11],
    is_manual = row[3] == '', key = prefix .. ':wm:schedule:' .. row[1]}
  all[number], outcomes[number] = schedule, decide(schedule) or false
end

-- The jobs are written before their schedules move on: if a write of a schedule failed, no instant would be lost.
local at, arguments, writing = 5, {}, {}

-- copy(length): adds the next arguments to those of `enqueue_jobs`.
local function copy(length)
  for i = at, math.min(at + length - 1, #ARGV) do arguments[#arguments + 1] = ARGV[i] end
  at = at + length
end

if at <= #ARGV then
  local groups, has_labels = math.min(tonumber(ARGV[at + 1]), #ARGV), ARGV[at + 2] == '1'
  copy(3)
  for _ = 1, groups do copy(7 + 2 * ARGV[at + 6]) end
  local length = (groups == 1 and 0 or 1) + (has_labels and 4 or 2)
  for number, schedule in ipairs(all) do
    if schedule.job_id ~= '' then
      if outcomes[number] then
        at = at + length
      else
        copy(length)
        writing[#writing + 1] = number
      end
    end
  end
end
if #writing > 0 then
  for i, answer in ipairs(enqueue_jobs(arguments)) do outcomes[writing[i]] = answer == 1 and 'written' or 'taken' end
end

for number, schedule in ipairs(all) do
  local outcome = outcomes[number]
  settle(schedule, outcome)
  if schedule.blocked and #schedule.blocked > 0 then outcomes[number] = {outcome, unpack(schedule.blocked)} end
end
for outcome, times in pairs(counts) do redis.call('HINCRBY', prefix .. ':wm:schedules:runs', outcome, times) end
if #due > 0 then redis.call('ZADD', prefix .. ':wm:schedules', unpack(due)) end
if #run_at > 0 then redis.call('ZADD', prefix .. ':cron_jobs', unpack(run_at)) end
return outcomes
