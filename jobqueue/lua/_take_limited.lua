-- How claim.lua takes jobs from lanes. Needs _limits and _claim_rows.
local LANES_AT_ONCE = 50

-- read_limit(limit, now): the numbers that hold for it: those of its hash, or, for a new one, the job's own.
local function read_limit(limit, now)
  local hash = limit_of(limit.key)
  local fields = redis.call('HMGET', hash, 'concurrency', 'starts', 'seconds', 'burst', 'used_until', 'parked_until',
    'fixed')
  if not fields[1] and not fields[2] and not fields[7] then
    fields[1], fields[2], fields[3], fields[4] = limit.concurrency, limit.starts, limit.seconds, limit.burst
    local numbers = {}
    for i, name in ipairs(LIMIT_NUMBERS) do
      if fields[i] then numbers[#numbers + 1] = name; numbers[#numbers + 1] = fields[i] end
    end
    if #numbers > 0 then
      redis.call('HSET', hash, unpack(numbers))
      redis.call('EXPIRE', hash, LIMIT_SECONDS)
      redis.call('ZADD', prefix .. ':wm:limits', now, limit.key)
    end
  end
  return {
    concurrency = fields[1] and number(fields[1], 0, 0, 1e9), starts = fields[2] and number(fields[2], 0, 0, 1e9),
    seconds = number(fields[3], 1, 0.001, 1e8), burst = number(fields[4], 1, 1, 1e9),
    used_until = number(fields[5], 0, 0, 2^40), parked_until = number(fields[6], 0, 0, 2^40), fixed = fields[7],
  }
end

-- The limits that this call has looked at, by key: their numbers, how many jobs run under them (`held`), and what is to
-- be written (`holders`, `used_until`): once for all jobs, however many a worker claims.
local opened = {}

-- open_limit(limit, now): what holds for a limit, with the places that were taken in this call.
local function open_limit(limit, now)
  local found = opened[limit.key]
  if not found then
    found = read_limit(limit, now)
    found.held = found.concurrency and redis.call('ZCARD', holders_of(limit.key)) or 0
    found.holders = {}
    opened[limit.key] = found
  end
  return found
end

-- write_places(now): writes down the places that were taken in this call.
local function write_places(now)
  for key, limit in pairs(opened) do
    if #limit.holders > 0 then
      redis.call('ZADD', holders_of(key), unpack(limit.holders))
      if limit.starts then redis.call('HSET', limit_of(key), 'used_until', string.format('%.6f', limit.used_until)) end
      redis.call('ZADD', prefix .. ':wm:limits', now, key)
      if not limit.fixed then redis.call('EXPIRE', limit_of(key), LIMIT_SECONDS) end
    end
  end
  opened = {}
end

-- take_places(id, limits, now, since): takes a place of each limit, or none. Returns nil, or the limit that forbids it
-- and until when (nil: until a job that runs under it ends). The rate is GCRA (ITU-T I.371): each job moves
-- `used_until` on by the time that it is worth, and may run if that is at most `burst` such times ahead.
local function take_places(id, limits, now, since)
  local used_until = {}
  for i, wanted in ipairs(limits) do
    local limit = open_limit(wanted, now)
    if limit.parked_until > now then return wanted, limit.parked_until end
    if limit.concurrency and limit.held >= limit.concurrency then return wanted end
    if limit.starts then
      if limit.starts == 0 then return wanted, now + 60 end
      local each = limit.seconds / limit.starts
      used_until[i] = math.max(limit.used_until, now) + each
      local allowed_at = used_until[i] - limit.burst * each
      if allowed_at > now + 1e-6 then return wanted, allowed_at end
    end
  end
  for i, wanted in ipairs(limits) do
    local limit = open_limit(wanted, now)
    limit.held = limit.held + 1
    limit.holders[#limit.holders + 1] = since
    limit.holders[#limit.holders + 1] = id
    limit.used_until = used_until[i] or limit.used_until
  end
  return nil
end

-- Lanes that were taken out of the ring, to be looked at one after the other: {name, score}. Those that were looked at,
-- and may have another job, stand in `seen`.
local ahead, seen, ring_is_empty, looking_at = {}, {}, false, nil
-- Jobs that were taken out of the lane that is looked at; those before `hand_at` have been looked at.
local in_hand, hand_at = {}, 1

-- What the records of jobs said that this call has taken from lanes, by id. Their statuses are still written as
-- `deferred`: claim.lua writes them, once for all that happens to the job.
local lane_records = {}

-- pass_on(limits, forbidding, now): a lane that cannot use a free place of its other limits leaves it to the next.
local function pass_on(limits, forbidding, now)
  write_places(now)
  ring_is_empty = false
  for _, limit in ipairs(limits) do
    if limit.key ~= forbidding.key and free_places(limit.key) > 0 then unblock(limit.key) end
  end
end

-- next_lane(queue, wanted): the next lane, in the order of the ring.
local function next_lane(queue, wanted)
  if #ahead == 0 and not ring_is_empty then
    local most = math.min(wanted, LANES_AT_ONCE)
    local flat = redis.call('ZPOPMIN', ring_of(queue), most)
    ring_is_empty = #flat < 2 * most
    for i = #flat - 1, 1, -2 do ahead[#ahead + 1] = {flat[i], flat[i + 1]} end
  end
  if #ahead == 0 then
    for i = #seen, 1, -1 do ahead[#ahead + 1] = {seen[i]} end
    seen = {}
  end
  return table.remove(ahead)
end

-- return_lanes(queue): puts lanes back into the ring, those that were not looked at before all others.
local function return_lanes(queue)
  local unseen = {}
  for i = #ahead, 1, -1 do
    local lane, score = ahead[i][1], ahead[i][2]
    if score then redis.call('ZADD', ring_of(queue), 'NX', score, lane) else unseen[#unseen + 1] = lane end
  end
  for _, lanes in ipairs({unseen, seen}) do
    for _, lane in ipairs(lanes) do
      if redis.call('EXISTS', lane_key(queue, lane)) == 1 then enter_ring(queue, lane) end
    end
  end
  ahead, seen, ring_is_empty = {}, {}, false
end

-- return_hand(queue, lane): puts jobs that were not looked at back to the head of their lane.
local function return_hand(queue, lane)
  for i = #in_hand, hand_at, -1 do redis.call('LPUSH', lane_key(queue, lane), in_hand[i]) end
  in_hand, hand_at = {}, 1
end

-- take_from(queue, lane, most, now, ids): takes up to `most` jobs from the head of a lane. Returns whether another one
-- may be taken from it.
local function take_from(queue, lane, most, now, ids)
  local list = lane_key(queue, lane)
  in_hand, hand_at = redis.call('LPOP', list, most) or {}, 1
  if #in_hand == 0 then return false end
  -- Formatted once, as in claim.lua.
  local since = string.format('%.3f', now)
  while hand_at <= #in_hand do
    local id = in_hand[hand_at]
    local record = read_record(prefix .. ':job:' .. id, 'deferred') or {}
    if record.status ~= 'deferred' or record.in_lane ~= '1' or lane_records[id] then
      -- Canceled, deleted, or queued again meanwhile: it has another entry then. If it was the last of its lane, a free
      -- place that the lane was told of goes to the next one; what was deleted does not say which (sweep_limits.lua).
      if hand_at == #in_hand and redis.call('EXISTS', list) == 0 then pass_on(limits_of(record.limits), {}, now) end
    else
      local limits = limits_of(record.limits)
      local forbidding, until_when = take_places(id, limits, now, since)
      if forbidding then
        return_hand(queue, lane)
        if until_when then
          redis.call('ZADD', later_of(queue), until_when, lane)
        else
          redis.call('SADD', blocked_by(forbidding.key), lane .. ' ' .. queue)
        end
        pass_on(limits, forbidding, now)
        return false
      end
      record.status = 'queued'
      lane_records[id] = record
      ids[#ids + 1] = id
    end
    hand_at = hand_at + 1
  end
  in_hand, hand_at = {}, 1
  return true
end

-- take_limited(queue, most, now, ids): takes up to `most` jobs of lanes, one of each lane in turn, and adds their ids
-- to `ids`, to be claimed at once; their records stand in `lane_records`. A lane that is alone gives as many as it has
-- given in this call already, so that one that may run no more is handed back few. If it fails, nothing is lost of the
-- lanes.
local function take_limited(queue, most, now, ids)
  local later, before, skipped = later_of(queue), #ids, 0
  for _, lane in ipairs(redis.call('ZRANGEBYSCORE', later, '-inf', now, 'LIMIT', 0, MAX_SKIPPED_LANES)) do
    redis.call('ZREM', later, lane)
    enter_ring(queue, lane)
  end
  local succeeded, problem = pcall(function()
    while #ids - before < most and skipped < MAX_SKIPPED_LANES do
      local lane = next_lane(queue, most - #ids + before)
      if not lane then break end
      local count = #ids
      looking_at = lane[1]
      local is_alone = ring_is_empty and #ahead == 0 and #seen == 0
      local some = is_alone and math.max(1, count - before) or 1
      if take_from(queue, lane[1], math.min(some, most + before - count), now, ids) then seen[#seen + 1] = lane[1] end
      looking_at = nil
      -- A lane that this call has emptied is none that had nothing.
      if #ids == count and lane[2] then skipped = skipped + 1 end
    end
  end)
  if not succeeded and looking_at then
    return_hand(queue, looking_at)
    seen[#seen + 1], looking_at = looking_at, nil
  end
  return_lanes(queue)
  write_places(now)
  if #ids > before then redis.call('ZREM', prefix .. ':deferred:' .. queue, unpack(ids, before + 1)) end
  if not succeeded then error(problem) end
end
