-- What claim.lua reads of a job, and the row that its answer has of it. Needs _tolerant, and of claim.lua: whether it
-- wants spans, and the TTLs of jobs that set none.

-- To look for a field that a record does not have takes as long as to read one. So what only a job has that has started
-- before, or that a plain RQ client has written, is looked for in such a job alone.
local FIELDS = {'data', 'timeout', 'wm_feed', 'result_ttl', 'failure_ttl', 'status', 'enqueued_at', 'wm_isolation',
  'started_at'}
if wants_spans then FIELDS[#FIELDS + 1] = 'wm_trace' end
local MORE_FIELDS = {'wm_attempts', 'wm_losses', 'ttl', 'origin', 'wm_cancel', 'created_at', 'wm_abandoned'}
-- Of a job in a lane. Its limits' keys are those of all jobs in the lane, so only the first one's are read.
local LANE_FIELDS, FIRST_LANE_FIELDS = {unpack(FIELDS)}, {unpack(FIELDS)}
LANE_FIELDS[#FIELDS + 1], FIRST_LANE_FIELDS[#FIELDS + 1] = 'wm_in_lane', 'wm_in_lane'
FIRST_LANE_FIELDS[#FIELDS + 2] = 'wm_limits'

-- In one call, so many runs of parents are looked up: other requests wait meanwhile.
local parents_left = 500

-- parent_runs(key): a line for each job on this shard that a traced one has waited for: id, token of the lease of its
-- last run, and span of its submission.
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

-- read_record(key, status, fields): what a record says, by the names of its fields; nil if it is no hash. `status` is
-- that of a job which stands where it was found: 'queued', or 'deferred' in a lane; `fields` one of the lists above.
local function read_record(key, status, fields)
  local values = call_own('HMGET', key, unpack(fields))
  if not values then return nil end
  local record = {data = values[1], timeout = values[2], feed = values[3], result_ttl = values[4],
    failure_ttl = values[5], status = values[6], enqueued_at = values[7], isolation = values[8],
    started_at = values[9], trace = wants_spans and values[10], in_lane = values[#FIELDS + 1],
    limits = values[#FIELDS + 2]}
  if not record.feed or record.started_at or record.status ~= status then
    local more = redis.call('HMGET', key, unpack(MORE_FIELDS))
    for i, name in ipairs(MORE_FIELDS) do record[name] = more[i] end
    -- Otherwise it has been enqueued again since (_losses.lua).
    record.is_abandoned = record.wm_abandoned and record.wm_abandoned == record.enqueued_at
  end
  if record.trace then record.trace = record.trace .. parent_runs(key) end
  return record
end

-- counts_of(record): its `wm_losses`, the attempt that it counts, and what is wrong with them ('' for nothing).
local function counts_of(record)
  if not record.wm_losses and not record.wm_attempts then return 0, 1, '' end
  local losses, attempts = number(record.wm_losses, -1, 0, 1e9), number(record.wm_attempts, -1, 0, 1e9)
  if record.wm_losses and losses < 0 then return 0, 1, 'wm_losses of its record is not a number' end
  if record.wm_attempts and attempts < 0 then return losses, 1, 'wm_attempts of its record is not a number' end
  return math.max(losses, 0), math.max(attempts, 1), ''
end

-- rq_features(key, is_abandoned): what a job of a plain RQ client asks for: '' for nothing, or {a letter for each thing
-- (ClaimedJob.rq_features in jobqueue/claimed_job.py), name and timeout of on_success, on_failure and on_stopped;
-- nothing without such callbacks}.
local function rq_features(key, is_abandoned)
  local letters = {'g', 'l', 'd', 'r', 'w'}
  local found, asked, has_callback = redis.call('HMGET', key, 'group_id', 'rate_limit_key', 'dependency_id',
    'repeats_left', 'webhooks', 'success_callback_name', 'success_callback_timeout', 'failure_callback_name',
    'failure_callback_timeout', 'stopped_callback_name', 'stopped_callback_timeout'), is_abandoned and 'a' or '', false
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

-- Record and queue of the last row that was whole; nil if the next one must be whole, too.
local last, last_queue

-- has_common(record, queue): whether the row of a job can leave out what it shares with the row before.
local function has_common(record, queue)
  return last and queue == last_queue and record.timeout == last.timeout and record.feed == last.feed
    and record.result_ttl == last.result_ttl and record.failure_ttl == last.failure_ttl
end

-- row_of(id, key, record, attempt, queue, problem): its row, as claim.lua's header gives it.
local function row_of(id, key, record, attempt, queue, problem)
  local since = record.enqueued_at or ''
  if attempt > 1 then since = since .. ' ' .. (record.created_at or '') end
  local asks = record.isolation or record.trace
  local is_ordinary = record.feed and problem == '' and not asks
  if is_ordinary and has_common(record, queue) then return {id, record.data, attempt, since} end
  last, last_queue = is_ordinary and record or nil, queue
  return {id, record.data, attempt, since, record.timeout or '', queue, record.feed or '',
    record.result_ttl or default_result_ttl, record.failure_ttl or default_failure_ttl,
    record.feed and '' or rq_features(key, record.is_abandoned), problem, asks and (record.isolation or '') or nil,
    asks and (record.trace or '') or nil}
end
