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
-- Returns   for each job: {id, data, attempt, when it was enqueued, and of a job that has run before ' ' and when it
--           was created}; and then, unless all of it is as in the row before: timeout ('' for none), queue, feed ('' for
--           a plain RQ job | '0' | '1'), result ttl, failure ttl, what it asks for as a job of a plain RQ client ('' for
--           nothing, see rq_features), what cannot be read ('' for nothing), and of a job that has either: isolation
--           ('' for none), span of its submission ('' for none) and, on the lines that follow it, its parents' runs: id,
--           token of the lease, span of the parent's submission
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _push
-- include: _turns
-- include: _ends
-- To look for a field that a record does not have takes as long as to read one. So what only a job has that has started
-- before, or that a plain RQ client has written, is looked for in such a job alone.
local FIELDS = {'data', 'timeout', 'wm_feed', 'result_ttl', 'failure_ttl', 'status', 'enqueued_at', 'wm_isolation',
  'started_at'}
if ARGV[10] == '1' then FIELDS[#FIELDS + 1] = 'wm_trace' end
local MORE_FIELDS = {'wm_attempts', 'wm_losses', 'ttl', 'origin', 'wm_cancel', 'created_at'}

-- Of a job that waits in a lane.
local LANE_FIELDS = {'wm_limits', 'wm_in_lane', unpack(FIELDS)}

-- Returns a line for each job on this shard that a traced one has waited for: id, token of the lease of its last run, and
-- span of its submission. So many are looked at in one call: other requests wait meanwhile.
local parents_left = 500
local function parent_runs(key)
  local readable, parents = pcall(cjson.decode, redis.call('HGET', key, 'wm_depends_on') or '')
  local lines = {''}
  for _, each in ipairs(readable and type(parents) == 'table' and parents or {}) do
    local parent = type(each) == 'table' and type(each[1]) == 'string' and parents_left > 0 and each[1]
    if not parent then break end
    parents_left = parents_left - 1
    local run, span = unpack(call_own('HMGET', prefix .. ':job:' .. parent, 'wm_lease', 'wm_trace') or {})
    if run and span then lines[#lines + 1] = parent .. ' ' .. run .. ' ' .. span end
  end
  return table.concat(lines, '\n')
end

-- Returns what a record says, by the names of its fields; nil if it is no hash. `status` is that of a job which stands
-- where it was found: 'queued', or 'deferred' in a lane.
local function read_record(key, status)
  local values, limits, in_lane = nil, nil, nil
  if status == 'deferred' then
    values = call_own('HMGET', key, unpack(LANE_FIELDS))
    if values then limits, in_lane, values = values[1], values[2], {unpack(values, 3)} end
  else
    values = call_own('HMGET', key, unpack(FIELDS))
  end
  if not values then return nil end
  local record = {data = values[1], timeout = values[2], feed = values[3], result_ttl = values[4],
    failure_ttl = values[5], status = values[6], enqueued_at = values[7], isolation = values[8],
    started_at = values[9], trace = values[10], limits = limits, in_lane = in_lane}
  if not record.feed or record.started_at or record.status ~= status then
    local more = redis.call('HMGET', key, unpack(MORE_FIELDS))
    for i, name in ipairs(MORE_FIELDS) do record[name] = more[i] end
  end
  if record.trace then record.trace = record.trace .. parent_runs(key) end
  return record
end
-- include: _take_limited
-- include: _changes
local now, iso, worker, token = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local lease, wanted = tonumber(ARGV[5]), tonumber(ARGV[6])
local default_result_ttl, default_failure_ttl, max_bytes = ARGV[7], ARGV[8], tonumber(ARGV[9])
local leases, claims = prefix .. ':wm:leases', prefix .. ':wm:claim:' .. worker

-- What a job of a plain RQ client asks for: '' for nothing, or {a letter for each thing (ClaimedJob.rq_features in
-- jobqueue/model.py), name and timeout of on_success, on_failure and on_stopped; nothing without such callbacks}.
local function rq_features(key)
  local letters = {'g', 'l', 'd', 'r', 'w'}
  local found, asked, has_callback = redis.call('HMGET', key, 'group_id', 'rate_limit_key', 'dependency_id',
    'repeats_left', 'webhooks', 'success_callback_name', 'success_callback_timeout', 'failure_callback_name',
    'failure_callback_timeout', 'stopped_callback_name', 'stopped_callback_timeout'), '', false
  for i, letter in ipairs(letters) do
    if found[i] and found[i] ~= '' and found[i] ~= '0' then asked = asked .. letter end
  end
  local callbacks = {unpack(found, #letters + 1)}
  for i = 1, 6 do
    callbacks[i] = callbacks[i] or ''
    has_callback = has_callback or (i % 2 == 1 and callbacks[i] ~= '')
  end
  if asked == '' and not has_callback then return '' end
  return {asked, has_callback and callbacks or {}}
end

-- Returns `wm_losses` and the attempt that a record counts, and what is wrong with them ('' for nothing).
local function counts_of(record)
  if not record.wm_losses and not record.wm_attempts then return 0, 1, '' end
  local losses, attempts = number(record.wm_losses, -1, 0, 1e9), number(record.wm_attempts, -1, 0, 1e9)
  if record.wm_losses and losses < 0 then return 0, 1, 'wm_losses of its record is not a number' end
  if record.wm_attempts and attempts < 0 then return losses, 1, 'wm_attempts of its record is not a number' end
  return math.max(losses, 0), math.max(attempts, 1), ''
end

-- Record and queue of the last row that was whole; nil if the next one must be whole, too.
local last, last_queue

local function has_common(record, queue)
  return last and queue == last_queue and record.timeout == last.timeout and record.feed == last.feed
    and record.result_ttl == last.result_ttl and record.failure_ttl == last.failure_ttl
end

local function row_of(id, key, record, attempt, queue, problem)
  local since = record.enqueued_at or ''
  if attempt > 1 then since = since .. ' ' .. (record.created_at or '') end
  local asks = record.isolation or record.trace
  local is_ordinary = record.feed and problem == '' and not asks
  if is_ordinary and has_common(record, queue) then return {id, record.data, attempt, since} end
  last, last_queue = is_ordinary and record or nil, queue
  return {id, record.data, attempt, since, record.timeout or '', queue, record.feed or '',
    record.result_ttl or default_result_ttl, record.failure_ttl or default_failure_ttl,
    record.feed and '' or rq_features(key), problem, asks and (record.isolation or '') or nil,
    asks and (record.trace or '') or nil}
end

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
      local record = read_record(key, 'queued')
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
  redis.call('HDEL', key, 'wm_losses', 'wm_cancel', 'wm_reason', 'wm_note')
end

-- Leases one job that was popped from `queue`, unless it must not run (any more); adds its execution to `started`.
-- Returns 'last' if no further job may come with it, 'later' if it must be put back, to be claimed alone.
local function lease_job(id, queue, started)
  local key = prefix .. ':job:' .. id
  local lane_record = lane_records[id]
  local record = lane_record or read_record(key, 'queued')
  if not record then return reject(id, key, queue, nil) end
  local data, status = record.data, record.status
  if data and ENDED[status] then
    revive(id, key, queue)
    record.wm_losses, record.wm_cancel = false, false
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
  if record.started_at and record.started_at ~= '' then attempt = attempt + 1 end
  local row = row_of(id, key, record, attempt, queue, problem)
  if record.ttl then redis.call('PERSIST', key) end
  -- A plain RQ client has requeued it after it was cancelled: drop the mark.
  if record.wm_cancel then redis.call('HDEL', key, 'wm_cancel') end
  -- The token ties the lease to this record (is_leased_by in _outcomes.lua).
  if attempt > 1 then
    raw_call('HSET', key, 'status', 'started', 'started_at', iso, 'worker_name', worker, 'wm_lease', token,
      'wm_attempts', attempt)
    if lane_record then redis.call('HDEL', key, 'wm_in_lane') end
  elseif lane_record then
    raw_call('HSET', key, 'status', 'started', 'started_at', iso, 'worker_name', worker, 'wm_lease', token,
      'wm_in_lane', '')
  else
    raw_call('HSET', key, 'status', 'started', 'started_at', iso, 'worker_name', worker, 'wm_lease', token)
  end
  note_change(id, key, 'started')
  jobs[#jobs + 1] = row
  -- RQ fails every entry of this registry whose score has passed. So the lease is kept elsewhere, and the score lies
  -- far beyond it.
  local timeout = number(record.timeout, 180, -1, MAX_TTL_SECONDS)
  started[#started + 1] = timeout < 0 and '+inf' or math.floor(now) + timeout + 3600
  started[#started + 1] = id .. ':' .. token
  leased[#leased + 1] = expires_at
  leased[#leased + 1] = id .. ':' .. token
  claimed[#claimed + 1] = id
  -- The answer must fit into Redis' memory and the worker's.
  bytes = bytes + #data
  if losses > 0 or bytes >= max_bytes then return 'last' end
end

-- Jobs that were taken out of a list to be leased, and how many of them have been.
local popped, at = {}, 0

-- Puts a job back into its queue. One that came from a lane has taken its places, and does not wait there any more.
local function put_back(command, queue, id)
  if lane_records[id] then redis.call('HSET', prefix .. ':job:' .. id, 'status', 'queued', 'wm_in_lane', '') end
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
