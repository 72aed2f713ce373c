-- Leases queued jobs to a worker.
-- KEYS[1]   shard prefix
-- ARGV[1]   now ('' for Redis' clock)
-- ARGV[2]   now as RQ writes it
-- ARGV[3]   worker
-- ARGV[4]   token that names the leases; a call repeated with it returns those jobs of the first answer that are still
--           leased
-- ARGV[5]   lease seconds
-- ARGV[6]   maximum number of jobs
-- ARGV[7]   result ttl, ARGV[8] failure ttl of jobs that set none, seconds
-- ARGV[9]   bytes of job data after which the answer ends
-- ARGV[10]  '1' if the worker makes spans, and so wants those of the jobs' submissions
-- ARGV[11+] queues, in order of priority; '*' alone: every queue in turn (_turns.lua)
-- Returns   for each job a row (row_of in _claim_rows.lua): {id, data, attempt, when it was enqueued, and of a job that
--           has run before ' ' and when it was created}; and then, unless all of it is as in the row before: timeout
--           ('' for none), queue, feed ('' for a plain RQ job | '0' | '1'), result ttl, failure ttl, what it asks for
--           as a job of a plain RQ client ('' for nothing, see rq_features), what cannot be read ('' for nothing), and
--           of a job that has either: isolation ('' for none), span of its submission ('' for none) and, on the lines
--           that follow it, its parents' runs: id, token of the lease, span of the parent's submission
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _push
-- include: _turns
-- include: _ends
-- include: _changes
local now, iso, worker, token = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local lease, wanted = tonumber(ARGV[5]), tonumber(ARGV[6])
local default_result_ttl, default_failure_ttl, max_bytes = ARGV[7], ARGV[8], tonumber(ARGV[9])
local wants_spans = ARGV[10] == '1'
-- include: _claim_rows
-- include: _take_limited
local leases, claims = prefix .. ':wm:leases', prefix .. ':wm:claim:' .. worker

-- Ends a job that cannot be claimed, because its record cannot be read; `record` is nil if it is no hash at all.
local function reject(id, key, queue, record, reason)
  if record then
    redis.call('HSET', key, 'status', 'failed', 'ended_at', iso, 'wm_reason', 'rejected', 'wm_note', reason)
    redis.call('EXPIRE', key, default_failure_ttl)
    note_change(id, key, 'failed')
    end_job(id, key, redis.call('HGET', key, 'wm_at_end'), 'failed', iso)
    note_parents({id}, 'failed')
  end
  redis.call('ZADD', prefix .. ':failed:' .. queue, math.floor(now) + tonumber(default_failure_ttl), id)
  redis.call('HINCRBY', prefix .. ':wm:failed', 'unreadable', 1)
end

local jobs, bytes = {}, 0
local repeated = call_own('LRANGE', claims, 0, -1) or {}
if repeated[1] == token then
  for i = 2, #repeated do
    local id = repeated[i]
    local key = prefix .. ':job:' .. id
    if redis.call('ZSCORE', leases, id .. ':' .. token) and call_own('HGET', key, 'wm_lease') == token then
      local record = read_record(key, 'queued', FIELDS)
      if record and record.data then
        local _, attempt, problem = counts_of(record)
        jobs[#jobs + 1] = row_of(id, key, record, attempt, record.origin or '', problem)
      end
    end
  end
  return jobs
end
local is_paused = {}
local stops = {prefix .. ':suspended', prefix .. ':wm:closed:' .. worker}
if redis.call('EXISTS', prefix .. ':wm:paused', prefix .. ':wm:watched', unpack(stops)) == 0 then
  is_watched = false
else
  -- All workers are suspended (`rq suspend`), or this worker is fenced (fence_worker.lua).
  if redis.call('EXISTS', unpack(stops)) > 0 then return jobs end
  for _, queue in ipairs(redis.pcall('HKEYS', prefix .. ':wm:paused')) do is_paused[queue] = true end
end

-- {queue, its share: one of how many equal parts of what is still wanted}
local visits, emptied, served, taken = {}, {}, {}, nil
if ARGV[11] == '*' then
  taken = queues_in_turn()
  for i, entry in ipairs(taken.list) do visits[i] = {entry[1], #taken.list - i + 1} end
  -- Those with more jobs fill up what others have left.
  if #taken.list > 1 then
    for _, entry in ipairs(taken.list) do visits[#visits + 1] = {entry[1], 1} end
  end
else
  for q = 11, #ARGV do visits[#visits + 1] = {ARGV[q], 1} end
end

local leased, claimed = {}, {token}
-- Formatted once: turning a fraction into text takes longer than adding it to the sorted set.
local expires_at = string.format('%.3f', now + lease)

local wip_scores = {}
-- wip_score(timeout): RQ fails every entry of its registry of started jobs whose score has passed. So the lease is kept
-- elsewhere, and the score lies far beyond it.
local function wip_score(timeout)
  local score = wip_scores[timeout]
  if not score then
    local seconds = number(timeout, 180, -1, MAX_TTL_SECONDS)
    score = seconds < 0 and '+inf' or string.format('%.0f', math.floor(now) + math.floor(seconds) + 3600)
    wip_scores[timeout] = score
  end
  return score
end

-- Statuses of jobs that wait elsewhere, run or have ended, and whose id may stand in a queue all the same.
local NOT_QUEUED = {started = true, scheduled = true, deferred = true, created = true, rate_limited = true,
  ready_to_enqueue = true, canceled = true}
local ELSEWHERE = {scheduled = true, deferred = true}
local ENDED = {finished = true, failed = true, stopped = true}

-- A plain RQ client has put the id of an ended job into the queue (`push_job_id`), or has enqueued the job again while
-- it ran. It runs again, as with RQ.
local function revive(id, key, queue)
  redis.call('ZREM', prefix .. ':finished:' .. queue, id)
  redis.call('ZREM', prefix .. ':failed:' .. queue, id)
  redis.call('PERSIST', key)
  redis.call('HDEL', key, 'wm_losses', 'wm_cancel', 'wm_reason', 'wm_note', 'wm_abandoned')
end

-- Leases one job that was popped from `queue`, unless it must not run (any more); adds its execution to `started`.
-- Returns 'last' if no further job may come with it, 'later' if it must be put back, to be claimed alone.
local function lease_job(id, queue, started)
  local key = prefix .. ':job:' .. id
  local lane_record = lane_records[id]
  local record = lane_record or read_record(key, 'queued', FIELDS)
  if not record then return reject(id, key, queue, nil) end
  local data, status = record.data, record.status
  if data and ENDED[status] then
    revive(id, key, queue)
    record.wm_losses, record.wm_cancel, record.is_abandoned = false, false, false
  elseif data and ELSEWHERE[status] and record.origin
    and not call_own('ZSCORE', prefix .. ':' .. status .. ':' .. record.origin, id) then
    -- A plain RQ client has written an old status over 'queued'.
  elseif not data or status ~= 'queued' then
    -- Its record has expired, or it must not run any more.
    if NOT_QUEUED[status] or not (data or status) then return end
    local reason = 'its record has no data'
    if data then reason = "its record has no known status: '" .. string.sub(tostring(status or ''), 1, 80) .. "'" end
    return reject(id, key, queue, record, 'the job cannot run: ' .. reason)
  end
  local losses, attempt, problem = counts_of(record)
  -- A job that was lost before is claimed alone: if it crashes this worker too, no other job is hit.
  if losses > 0 and #jobs > 0 then return 'later' end
  -- A call of `on_failure` alone is no attempt.
  if record.started_at and record.started_at ~= '' and not record.is_abandoned then attempt = attempt + 1 end
  local row = row_of(id, key, record, attempt, queue, problem)
  if record.ttl then redis.call('PERSIST', key) end
  -- A plain RQ client has requeued it after it was cancelled: drop the mark.
  if record.wm_cancel then redis.call('HDEL', key, 'wm_cancel') end
  -- The token ties the lease to this record (is_leased_by in _outcomes.lua).
  if attempt > 1 then
    raw_call('HSET', key, 'status', 'started', 'started_at', iso, 'worker_name', worker, 'wm_lease', token,
      'wm_attempts', attempt)
  else
    raw_call('HSET', key, 'status', 'started', 'started_at', iso, 'worker_name', worker, 'wm_lease', token)
  end
  note_change(id, key, 'started')
  jobs[#jobs + 1] = row
  local member, count = id .. ':' .. token, #started
  started[count + 1], started[count + 2] = wip_score(record.timeout), member
  count = #leased
  leased[count + 1], leased[count + 2] = expires_at, member
  claimed[#claimed + 1] = id
  -- The answer must fit into Redis' memory and the worker's.
  bytes = bytes + #data
  if losses > 0 or bytes >= max_bytes then return 'last' end
end

-- Jobs that were taken out of a list to be leased, and how many of them have been.
local popped, at = {}, 0

-- Puts a job back into its queue. One that came from a lane has taken its places, and does not wait there any more.
local function put_back(command, queue, id)
  if lane_records[id] then
    redis.call('HSET', prefix .. ':job:' .. id, 'status', 'queued')
    hold_places(id, now)
  end
  redis.call(command, prefix .. ':queue:' .. queue, id)
end

-- Leases what was popped from one queue. Returns whether no further job may be claimed.
local function lease_popped(queue, started)
  for i = 1, #popped do
    at = i
    local stop = lease_job(popped[i], queue, started)
    if stop then
      for j = #popped, stop == 'last' and i + 1 or i, -1 do
        put_back('LPUSH', queue, popped[j])
      end
      popped, at, wanted = {}, 0, #jobs
      return true
    end
  end
  popped, at = {}, 0
  return false
end

-- Leases jobs from one queue until there are `most`. Returns whether no further job may be claimed.
local function lease_from(queue, most, started)
  while #jobs < most do
    popped, at = redis.call('LPOP', prefix .. ':queue:' .. queue, most - #jobs) or {}, 0
    if #popped == 0 then return false end
    if lease_popped(queue, started) then return true end
  end
  return false
end

-- The same from its lanes.
local function lease_limited(queue, most, started)
  popped, at = {}, 0
  take_limited(queue, most - #jobs, now, popped)
  return lease_popped(queue, started)
end

local function visit_queue(queue, most)
  local queue_key = prefix .. ':queue:' .. queue
  local started = {}
  local has_lanes = redis.call('EXISTS', ring_of(queue), later_of(queue)) > 0
  -- Half of what is wanted from lanes; the rest only if the queue itself has no more.
  local ends = has_lanes and lease_limited(queue, #jobs + math.ceil((most - #jobs) / 2), started)
  ends = ends or lease_from(queue, most, started)
  if has_lanes and not ends and #jobs < most then lease_limited(queue, most, started) end
  if #started > 0 then
    served[queue_key] = true
    redis.call('ZADD', prefix .. ':wip:' .. queue, unpack(started))
  end
  if redis.call('LLEN', queue_key) > 0 or (has_lanes and redis.call('EXISTS', ring_of(queue)) == 1) then
    -- Those that serve every queue are woken at the end (end_turns).
    if #jobs > 0 then (taken and add_wake_tokens or wake)(queue, 2) end
  else
    redis.call('DEL', prefix .. ':wm:wake:' .. queue)
    emptied[queue_key] = true
  end
end

local failure
for _, visit in ipairs(visits) do
  local queue, share = visit[1], visit[2]
  local queue_key = prefix .. ':queue:' .. queue
  if taken and #jobs >= wanted then break end
  local most = #jobs + math.ceil((wanted - #jobs) / share)
  if is_paused[queue] then emptied[queue_key] = true end
  local succeeded, problem = true, nil
  if not emptied[queue_key] then succeeded, problem = pcall(visit_queue, queue, most) end
  if not succeeded then
    -- Nothing that was popped is lost: what failed goes to the end of the queue, what stood behind it to the head.
    for j = #popped, at + 1, -1 do put_back('LPUSH', queue, popped[j]) end
    if popped[at] then put_back('RPUSH', queue, popped[at]) end
    popped, at, wanted, failure = {}, 0, #jobs, problem
  end
end
-- Not later: an error in what follows must not leave jobs without a lease.
if #jobs > 0 then
  redis.call('ZADD', leases, unpack(leased))
  redis.call('DEL', claims)
  redis.call('RPUSH', claims, unpack(claimed))
  redis.call('EXPIRE', claims, 60)
end
if taken then end_turns(taken, emptied, served) else leave_turns(emptied, served) end
if failure and #jobs == 0 then error(failure) end
return jobs
