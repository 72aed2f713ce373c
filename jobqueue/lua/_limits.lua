-- Limits and fair keys (docs/decisions/0030). A job that has some waits in a lane, with all jobs of its queue that have
-- the same ones, and is `deferred` there. claim.lua takes jobs from lanes that may run one, so that however many wait,
-- none of them costs a claim anything.
--   <prefix>:wm:lane:<queue>:<lane>    list: ids of jobs, the head is next
--   <prefix>:wm:ring:<queue>           sorted set: lanes from which a job may be taken; the lowest score is next
--   <prefix>:wm:later:<queue>          sorted set: lanes that wait for a rate; score: until when
--   <prefix>:wm:limit:<key>            hash: a limit's numbers, and what has been used of its rate
--   <prefix>:wm:limit-holders:<key>    sorted set: jobs that run under it; score: since when
--   <prefix>:wm:limit-blocked:<key>    set: `lane queue` of lanes that wait for a place of it
--   <prefix>:wm:limits                 sorted set: keys of all limits; score: when a job was last taken under it
-- A lane that has jobs stands in the ring, in `later`, or is blocked by one limit. Needs _push and _clock.
-- include: _changes
local LIMIT_SECONDS = 604800
local MAX_SKIPPED_LANES, MAX_DROPPED_JOBS = 16, 200

-- ring_of(queue): its lanes from which a job may be taken.
-- later_of(queue): its lanes that wait for a rate.
-- lane_key(queue, lane): the jobs of a lane.
-- limit_of(key): the numbers of a limit.
-- holders_of(key): who runs under it.
-- blocked_by(key): the lanes that wait for a place of it.
local function ring_of(queue) return prefix .. ':wm:ring:' .. queue end
local function later_of(queue) return prefix .. ':wm:later:' .. queue end
local function lane_key(queue, lane) return prefix .. ':wm:lane:' .. queue .. ':' .. lane end
local function limit_of(key) return prefix .. ':wm:limit:' .. key end
local function holders_of(key) return prefix .. ':wm:limit-holders:' .. key end
local function blocked_by(key) return prefix .. ':wm:limit-blocked:' .. key end

-- enter_ring(queue, lane): jobs may be taken from the lane, after those that are in the ring already.
local function enter_ring(queue, lane)
  local ring = ring_of(queue)
  local last = redis.call('ZRANGE', ring, -1, -1, 'WITHSCORES')
  redis.call('ZADD', ring, 'NX', (tonumber(last[2] or nil) or 0) + 1, lane)
end

-- wake_for_lanes(queue): lets workers know that a job can be taken from a lane of the queue.
local function wake_for_lanes(queue)
  redis.call('SADD', prefix .. ':queues', prefix .. ':queue:' .. queue)
  join_turns(queue)
  wake(queue, 1)
end

-- enter_lane(queue, lane, ids, at_front): lets jobs wait in their lane; their records say so already.
local function enter_lane(queue, lane, ids, at_front)
  local key, length = lane_key(queue, lane), 0
  if at_front then
    for i = #ids, 1, -1 do length = redis.call('LPUSH', key, ids[i]) end
  else
    for i = 1, #ids, 1000 do length = redis.call('RPUSH', key, unpack(ids, i, math.min(i + 999, #ids))) end
  end
  local score = deferred_score(clock(''))
  for first = 1, #ids, 1000 do
    local entries = {}
    for i = first, math.min(first + 999, #ids) do
      entries[#entries + 1] = score
      entries[#entries + 1] = ids[i]
    end
    redis.call('ZADD', prefix .. ':deferred:' .. queue, unpack(entries))
  end
  -- A lane that had jobs stands somewhere already.
  if length == #ids then enter_ring(queue, lane) end
  wake_for_lanes(queue)
end

-- limits_of(text): the limits in a job's field `wm_limits`, without what cannot be read of it. Most jobs of a call have
-- the same.
local LIMIT_NUMBERS = {'concurrency', 'starts', 'seconds', 'burst'}
local read_limits = {}
local function limits_of(text)
  if not text then return {} end
  if not read_limits[text] then
    local decoded, found = pcall(cjson.decode, text)
    local limits = {}
    for _, each in ipairs(decoded and type(found) == 'table' and found or {}) do
      if type(each) == 'table' and type(each.key) == 'string' then
        local limit = {key = each.key}
        for _, name in ipairs(LIMIT_NUMBERS) do
          if type(each[name]) == 'number' then limit[name] = each[name] end
        end
        limits[#limits + 1] = limit
      end
    end
    read_limits[text] = limits
  end
  return read_limits[text]
end

-- has_job(list): whether a job waits in a lane. Those that were canceled or deleted leave it first.
local function has_job(list)
  for _ = 1, MAX_DROPPED_JOBS do
    local id = redis.call('LINDEX', list, 0)
    if not id then return false end
    local status, waits = unpack(call_own('HMGET', prefix .. ':job:' .. id, 'status', 'wm_in_lane') or {})
    if status == 'deferred' and waits == '1' then return true end
    redis.call('LPOP', list)
  end
  return redis.call('EXISTS', list) == 1
end

-- unblock(key): one lane that waits for a place of this limit may be looked at again. Returns whether there was one.
local function unblock(key)
  for _ = 1, MAX_DROPPED_JOBS do
    local entry = redis.call('SPOP', blocked_by(key))
    if not entry then return false end
    local lane, queue = string.match(entry, '^(%S+) (.*)$')
    if lane and has_job(lane_key(queue, lane)) then
      enter_ring(queue, lane)
      wake_for_lanes(queue)
      return true
    end
  end
  return false
end

-- mark_limited(key): lets the end of a job give back its places; enqueue.py marks a job that has a limit with a
-- `concurrency` of its own.
local function mark_limited(key)
  local at_end = redis.call('HGET', key, 'wm_at_end') or ''
  if not string.find(at_end, 'l', 1, true) then redis.call('HSET', key, 'wm_at_end', at_end .. 'l') end
end

-- hold_places(id, now, wanted): notes a job as a holder of its limits, or of the one with the key `wanted`, also where a
-- claim has not done so because the limit had no `concurrency`.
local function hold_places(id, now, wanted)
  local key = prefix .. ':job:' .. id
  for _, limit in ipairs(limits_of(call_own('HGET', key, 'wm_limits'))) do
    if not wanted or limit.key == wanted then
      redis.call('ZADD', holders_of(limit.key), 'NX', string.format('%.3f', now), id)
      mark_limited(key)
    end
  end
end

-- leave_limits(id, text, holders): gives back the places that a job holds; `text` is its field `wm_limits`. With
-- `holders`, it only adds the job there, for leave_together.
local function leave_limits(id, text, holders)
  for _, limit in ipairs(limits_of(text)) do
    if holders then
      holders[limit.key] = holders[limit.key] or {}
      table.insert(holders[limit.key], id)
    elseif redis.call('ZREM', holders_of(limit.key), id) == 1 then
      unblock(limit.key)
    end
  end
end

-- leave_together(holders): gives back the places of many jobs; `holders` has their ids, at most 1,000 for each key.
local function leave_together(holders)
  for key, ids in pairs(holders) do
    for _ = 1, redis.call('ZREM', holders_of(key), unpack(ids)) do
      if not unblock(key) then break end
    end
  end
end

-- free_places(key): how many more jobs may run under a limit; math.huge if it does not say.
local function free_places(key)
  local concurrency = redis.call('HGET', limit_of(key), 'concurrency')
  if not concurrency then return math.huge end
  return number(concurrency, 0, 0, 1e9) - redis.call('ZCARD', holders_of(key))
end

-- queue_job(id, key, queue, at_front, iso): queues a job (again), or lets it wait in its lane.
local function queue_job(id, key, queue, at_front, iso)
  local lane, limits = unpack(redis.call('HMGET', key, 'wm_lane', 'wm_limits'))
  if lane then
    leave_limits(id, limits)
    redis.call('HSET', key, 'status', 'deferred', 'enqueued_at', iso, 'wm_in_lane', '1')
    note_change(id, key, 'deferred')
    enter_lane(queue, lane, {id}, at_front)
  else
    redis.call('HSET', key, 'status', 'queued', 'enqueued_at', iso)
    note_change(id, key, 'queued')
    push(queue, {id}, at_front)
  end
end
