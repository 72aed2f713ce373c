-- Records jobs that succeeded. Jobs that share everything but id and value travel as one group.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  now as RQ writes it
-- ARGV[3]  worker
-- ARGV[4+] for each group of at most 1,000 jobs: queue | token | function
--          | hash of the source of the function's module ('' for none) | run time of its jobs in total, seconds
--          | result ttl (-1 forever, 0 keep nothing) | feed '0' | '1' | '1' if RQ's execution records were written
--          | what they ask for as jobs of plain RQ clients (_rq_jobs.lua) | number of jobs
--          | place of the first one among all jobs of the call if the others follow it there, else '',
--          then for each: id, value (base64), and its place unless they follow
-- Returns  {ids whose lease or record is gone (nothing was recorded for them), ids that have dependents (RQ's),
--          ids that other jobs wait for, and whose children are to be told (settle_children.lua)}
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _outcomes
-- include: _retention
-- include: _rq_jobs
-- include: _changes
-- include: _tell_children
local now, iso, worker = clock(ARGV[1]), ARGV[2], ARGV[3]
local leases = prefix .. ':wm:leases'

-- Jobs of a group that have ended before, or that a plain RQ client has saved: only their records hold an `ended_at`.
local saved_before = {}

-- The last result of the group that stands in a stream of its own: {its stream, value, whether it is known to stand
-- there alone}.
local latest = {}

-- The stream of a result that is the same as the last one is a copy of its stream, which takes half as long and less
-- memory. Returns whether it was made: not of a stream with an earlier attempt, nor in place of one, nor where the Redis
-- users are those of an earlier version, which may not copy.
local function copy_latest(results, value)
  if value ~= latest.value then return false end
  if not latest.is_alone then
    if redis.pcall('XLEN', latest.results) ~= 1 then return false end
    latest.is_alone = true
  end
  return redis.pcall('COPY', latest.results, results) == 1
end

local function record_success(id, key, ttl, value, feed, version)
  local results = prefix .. ':results:' .. id
  -- A leased job has a status. So one new field means that the job never ended before.
  local new_fields = raw_call('HSET', key, 'status', 'finished', 'ended_at', iso)
  if new_fields == 0 then saved_before[#saved_before + 1] = id end
  if new_fields == 0 or not copy_latest(results, value) then
    if version ~= '' then
      redis.call('XADD', results, 'MAXLEN', '~', 10, '*', 'type', '1', 'worker_name', worker, 'return_value', value,
        'wm_version', version)
    elseif new_fields == 1 then
      redis.call('XADD', results, '*', 'type', '1', 'worker_name', worker, 'return_value', value)
    else
      redis.call('XADD', results, 'MAXLEN', '~', 10, '*', 'type', '1', 'worker_name', worker, 'return_value', value)
    end
    if new_fields == 1 then latest = {results = results, value = value} end
  end
  -- Results in the feed expire by their registry entry (_retention.lua), but a job that ended before may have a TTL.
  if not feed or new_fields == 0 then
    local seconds = feed and -1 or ttl
    set_ttl(key, seconds)
    set_ttl(results, seconds)
  end
end

-- Plain RQ clients can cancel a running job, which goes on, and can enqueue a failed one without taking it from its
-- registry. Jobs from HTTP pay one EXISTS for each group.
local function leave_other_registries(queue, ids)
  local canceled = prefix .. ':canceled:' .. queue
  if #ids > 0 and redis.call('EXISTS', canceled) == 1 then redis.call('ZREM', canceled, unpack(ids)) end
  if #saved_before > 0 then redis.call('ZREM', prefix .. ':failed:' .. queue, unpack(saved_before)) end
  saved_before = {}
end

-- Deletes jobs that keep no result.
local function discard(ids)
  for _, id in ipairs(ids) do redis.call('DEL', prefix .. ':job:' .. id, prefix .. ':results:' .. id) end
end

local END_FIELDS = {'wm_lease', 'wm_at_end'}
together = {holders = {}, parents = {}}
local lost, parents, places, feed_ids = {}, {}, {}, {}
local at = 4
while at <= #ARGV do
  local queue, token, name, version, seconds = unpack(ARGV, at, at + 4)
  local ttl, feed, has_execution_record = tonumber(ARGV[at + 5]), ARGV[at + 6] == '1', ARGV[at + 7] == '1'
  local features, first_place = ARGV[at + 8], tonumber(ARGV[at + 10])
  local size = first_place and 2 or 3
  local first, last = at + 11, at + 10 + tonumber(ARGV[at + 9]) * size
  local members = {}
  for i = first, last, size do members[#members + 1] = ARGV[i] .. ':' .. token end
  local held = redis.call('ZMSCORE', leases, unpack(members))
  -- The first write must be a removal, so that the script also runs when Redis' memory is full.
  redis.call('ZREM', leases, unpack(members))
  redis.call('ZREM', prefix .. ':wip:' .. queue, unpack(members))
  local finished, done, forgotten = {}, {}, {}
  latest = {}
  -- Turned into text once for all jobs of the group.
  local kept_until = ttl < 0 and '+inf'
    or string.format('%.0f', math.floor(now) + ttl + (feed and CENTURY_SECONDS or 0))
  for n = 1, #members do
    local at_job = first + (n - 1) * size
    local id = ARGV[at_job]
    local key = prefix .. ':job:' .. id
    if held[n] and has_execution_record then drop_execution(id, token, worker) end
    -- is_leased_by and what is to be done at the end, in one command.
    local record = held[n] and call_own('HMGET', key, unpack(END_FIELDS)) or {}
    if not held[n] or record[1] ~= token then
      lost[#lost + 1] = id
    else
      done[#done + 1] = id
      if ttl ~= 0 then
        record_success(id, key, ttl, ARGV[at_job + 1], feed, version)
        finished[#finished + 1] = kept_until
        finished[#finished + 1] = id
        if feed then
          local place = first_place and first_place + n - 1 or tonumber(ARGV[at_job + 2])
          places[#places + 1] = place
          feed_ids[place] = id
        end
      end
      note_change(id, key, 'finished')
      -- Where one job has limits, the next ones of the call have some, too, as a rule.
      if record[2] and not END_FIELDS[3] and string.find(record[2], 'l', 1, true) then END_FIELDS[3] = 'wm_limits' end
      end_job(id, key, record[2], 'finished', iso, ARGV[at_job + 1], record[3])
      local runs_again = features ~= '' and finish_rq_job(id, key, queue, features, ttl, now, iso)
      if ttl == 0 and not runs_again then forgotten[#forgotten + 1] = id end
    end
  end
  leave_other_registries(queue, done)
  for _, id in ipairs(note_parents(done, 'finished')) do parents[#parents + 1] = id end
  discard(forgotten)
  if #finished > 0 then redis.call('ZADD', prefix .. ':finished:' .. queue, unpack(finished)) end
  if #done > 0 then
    redis.call('HINCRBY', prefix .. ':wm:finished', name, #done)
    redis.call('HINCRBYFLOAT', prefix .. ':wm:seconds', name, tonumber(seconds) * #done / #members)
  end
  at = last + 1
end

leave_together(together.holders)
line_up_callbacks()
if #together.parents > 0 then tell_children(together.parents, iso) end
if #places > 0 then
  -- The feed keeps the order of the call, whatever groups the jobs came in.
  table.sort(places)
  local feed, wake_key = prefix .. ':wm:feed', prefix .. ':wm:feed:bell'
  local sequence = redis.pcall('INCRBY', feed .. ':sequence', #places)
  if failed_with(sequence) then
    -- It is no number any more: go on behind the last entry.
    local last = redis.call('ZREVRANGE', feed, 0, 0, 'WITHSCORES')
    redis.call('SET', feed .. ':sequence', string.format('%.0f', number(last[2], 0, 0, 2^52)))
    sequence = redis.call('INCRBY', feed .. ':sequence', #places)
  end
  sequence = sequence - #places
  local entries = {}
  for n, place in ipairs(places) do
    entries[#entries + 1] = sequence + n
    entries[#entries + 1] = feed_ids[place]
  end
  redis.call('ZADD', feed, unpack(entries))
  if redis.call('EXISTS', wake_key) == 0 then redis.call('RPUSH', wake_key, '1') end
end
return {lost, parents, ended_parents}
