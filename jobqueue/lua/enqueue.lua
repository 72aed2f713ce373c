-- Writes new jobs, in the order of the call. Jobs that share everything but id and data are described as one group.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  number of groups
-- ARGV[3]  '1' if labels follow each job, else ''
-- ARGV[4+] for each group: queue | mode: R tail, L head, D scheduled after a delay, A scheduled at a given instant,
--          W waits for other jobs, M at the tail or N at the head of a lane (_limits.lua)
--          | due: seconds since the epoch (D, A), or a list in JSON of the ids of its parents, each followed by
--          'finished' or 'ended' (W), or its lane (M, N); else '' | unique key ('' for none) | its milliseconds | function
--          | number of shared fields, their names and values
--          then for each job: number of its group (only if there are several) | id | data
--          | its labels as a JSON object and the field `wm_options`, '' for none (only with labels)
-- Returns  for each job in order: 1 written | 2 already there with the same content | 0 there with other content
--          | {id, milliseconds left} of the job that has the unique key
-- Flags    none: refused while Redis' memory is full
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _push
-- include: _limits
-- include: _labels
-- include: _changes

-- Fields that change during a job's life: two submissions are the same whatever these say. The last three follow from
-- options; versions derive them in their own ways, and some remove `wm_in_lane` when the job is claimed.
local VOLATILE = {created_at = true, enqueued_at = true, status = true, retries_left = true, meta = true,
  wm_trace = true, wm_in_lane = true, wm_lane = true, wm_at_end = true}
-- Options of a job that versions before `wm_options` recorded as these fields only.
local OLD_OPTIONS = {'retry_intervals', 'enqueue_at_front', 'meta'}

-- Returns whether a job that has no `wm_options`, but was submitted with options by an older version, has these.
local function same_old_options(key, submitted)
  local has_options = redis.call('HGET', key, 'status') == 'scheduled'
  for i, stored in ipairs(redis.call('HMGET', key, unpack(OLD_OPTIONS))) do
    if stored ~= (submitted[OLD_OPTIONS[i]] or false) then return false end
    has_options = has_options or stored
  end
  return has_options
end

local function same_content(key, data, shared, labels, own_options)
  local stored = redis.call('HMGET', key, 'data', 'wm_options')
  if stored[1] ~= data then return false end
  local submitted = {}
  for i = 1, #shared, 2 do submitted[shared[i]] = shared[i + 1] end
  if labels ~= '' then submitted.wm_labels = labels end
  if own_options ~= '' then submitted.wm_options = own_options end
  -- The options stand in one field, so that options which only one of the two submissions has are noticed, too.
  local options = submitted.wm_options or false
  if stored[2] ~= options and (stored[2] or not same_old_options(key, submitted)) then return false end
  submitted.wm_options = nil
  for name, value in pairs(submitted) do
    if not VOLATILE[name] and redis.call('HGET', key, name) ~= value then return false end
  end
  return true
end

local has_labels = ARGV[3] == '1'
local groups, at = {}, 4
for number = 1, math.min(tonumber(ARGV[2]), #ARGV) do
  local queue, mode, due, unique, within, name, field_count = unpack(ARGV, at, at + 6)
  groups[number] = {queue = queue, mode = mode, due = due, name = name, within = within, written = 0,
    unique = unique ~= '' and prefix .. ':wm:unique:' .. unique,
    shared = {unpack(ARGV, at + 7, at + 6 + field_count * 2)}}
  local shared = groups[number].shared
  for i = 1, #shared, 2 do
    if shared[i] == 'status' then groups[number].status = shared[i + 1] end
  end
  at = at + 7 + field_count * 2
end

-- Jobs that are due at the same instant keep their order: each is due 2^-22 s after the one before, which is the
-- smallest step of such a score. So ten thousand jobs are due within 3 ms.
local STEP, WINDOW_SECONDS = 1 / 4194304, 0.05
local next_dues = {}

local function next_due(key, due)
  local instant = key .. '|' .. due
  if not next_dues[instant] then
    next_dues[instant] = tonumber(due)
    local last = redis.call('ZREVRANGEBYSCORE', key, due + WINDOW_SECONDS, due, 'WITHSCORES', 'LIMIT', 0, 1)
    if last[2] then next_dues[instant] = tonumber(last[2]) + STEP end
  end
  local score = next_dues[instant]
  next_dues[instant] = score + STEP
  return string.format('%.17g', score)
end

local front, back, lanes, answers = {}, {}, {}, {}

-- A child that waits is queued by settle_parents.lua, once its parents know of it and have ended.
local function wait_for_parents(group, id)
  local parents = prefix .. ':wm:parents:' .. id
  group.parents = group.parents or cjson.decode(group.due)
  redis.call('DEL', parents)
  for first = 1, #group.parents, 1000 do
    redis.call('HSET', parents, unpack(group.parents, first, math.min(first + 999, #group.parents)))
  end
  group.now = group.now or clock(ARGV[1])
  redis.call('ZADD', prefix .. ':deferred:' .. group.queue, deferred_score(group.now), id)
  redis.call('ZADD', prefix .. ':wm:registering', group.now, id)
end

local function add(line, queue, id)
  local ids = line[queue]
  if ids then ids[#ids + 1] = id else line[queue] = {id} end
end

local function place(group, id)
  local queue, mode = group.queue, group.mode
  if mode == 'R' then
    add(back, queue, id)
  elseif mode == 'L' then
    add(front, queue, id)
  elseif mode == 'W' then
    wait_for_parents(group, id)
    if group.written == 0 then redis.call('SADD', prefix .. ':queues', prefix .. ':queue:' .. queue) end
  elseif mode == 'M' or mode == 'N' then
    local name = mode .. group.due .. ' ' .. queue
    lanes[name] = lanes[name] or {queue = queue, lane = group.due, at_front = mode == 'N', ids = {}}
    table.insert(lanes[name].ids, id)
  else
    local scheduled = prefix .. ':scheduled:' .. queue
    redis.call('ZADD', scheduled, mode == 'A' and next_due(scheduled, group.due) or group.due, id)
    if group.written == 0 then redis.call('SADD', prefix .. ':queues', prefix .. ':queue:' .. queue) end
  end
  group.written = group.written + 1
end

-- Writes a job that has labels, or options that are its own.
local function write_special(key, data, shared, labels, own_options)
  if labels ~= '' then
    raw_call('HSET', key, 'data', data, 'wm_labels', labels, 'wm_options', own_options, unpack(shared))
  else
    raw_call('HSET', key, 'data', data, 'wm_options', own_options, unpack(shared))
  end
end

-- Writes a record unless there is one; returns whether it did. The jobs of a group differ in `data` alone, unless they
-- have labels, so the first one is written and the others are copies of it, which takes half as long. A copy keeps its
-- original's encoding, so none is made of a record with large data. And none where the Redis users are those of an
-- earlier version, which may not copy: an error here would leave records that stand in no queue.
local MAX_COPIED_BYTES = 1024
local may_copy = not has_labels
local function create(key, data, group, labels, own_options)
  local first_key = group.first_key
  if may_copy and first_key and first_key ~= key then
    local copied = raw_pcall('COPY', first_key, key)
    if copied == 1 then raw_call('HSET', key, 'data', data) end
    if type(copied) == 'number' then return copied == 1 end
    may_copy = false
  end
  if raw_call('EXISTS', key) == 1 then return false end
  if labels == '' and own_options == '' then
    raw_call('HSET', key, 'data', data, unpack(group.shared))
  else
    write_special(key, data, group.shared, labels, own_options)
  end
  if #data <= MAX_COPIED_BYTES then group.first_key = key end
  return true
end

-- What is asked here need not be asked for each job.
local before_id, is_watched_now = #groups == 1 and 0 or 1, has_watchers()
for i = at, #ARGV, before_id + (has_labels and 4 or 2) do
  local group = before_id == 0 and groups[1] or groups[tonumber(ARGV[i])]
  local id, data = ARGV[i + before_id], ARGV[i + before_id + 1]
  local labels, own_options = '', ''
  if has_labels then labels, own_options = ARGV[i + before_id + 2], ARGV[i + before_id + 3] end
  local key, unique = prefix .. ':job:' .. id, group.unique
  local taken = unique and redis.call('GET', unique)
  if taken and taken ~= id then
    answers[#answers + 1] = {taken, redis.call('PTTL', unique)}
  elseif not create(key, data, group, labels, own_options) then
    answers[#answers + 1] = same_content(key, data, group.shared, labels, own_options) and 2 or 0
  else
    if unique then redis.call('SET', unique, id, 'PX', group.within) end
    place(group, id)
    if labels ~= '' then note_labels(id, cjson.decode(labels), clock(ARGV[1])) end
    if is_watched_now then note_change(id, key, group.status) end
    answers[#answers + 1] = 1
  end
end

if has_labels then add_labels(clock(ARGV[1])) end
for queue, ids in pairs(back) do push(queue, ids, false) end
for queue, ids in pairs(front) do
  -- The last one is next in line.
  local reversed = {}
  for i = #ids, 1, -1 do reversed[#reversed + 1] = ids[i] end
  push(queue, reversed, true)
end
for _, lane in pairs(lanes) do
  local ids = lane.ids
  if lane.at_front then
    ids = {}
    for i = #lane.ids, 1, -1 do ids[#ids + 1] = lane.ids[i] end
  end
  enter_lane(lane.queue, lane.lane, ids, lane.at_front)
end
for _, group in ipairs(groups) do
  if group.written > 0 then redis.call('HINCRBY', prefix .. ':wm:enqueued', group.name, group.written) end
end
return answers
