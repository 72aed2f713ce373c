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
  local starts = number(fields[2], 0, 0, 1e9)
  local found = {
    key = limit.key, fixed = fields[7], concurrency = fields[1] and math.floor(number(fields[1], 0, 0, 1e9)),
    parked_until = number(fields[6], 0, 0, 2^40), holders = {}, held = 0,
  }
  if fields[2] then
    -- GCRA (ITU-T I.371): each job moves `used_until` on by the time that it is worth, and may run if that is at most
    -- `burst` such times ahead.
    found.has_rate, found.used_until = true, math.max(number(fields[5], 0, 0, 2^40), now)
    found.each = starts > 0 and number(fields[3], 1, 0.001, 1e8) / starts or nil
    if found.each then found.latest = now + 1e-6 + (number(fields[4], 1, 1, 1e9) - 1) * found.each end
  end
  return found
end

-- The limits that this call has looked at, by key: their numbers, how many jobs run under them (`held`), and what is to
-- be written (`holders`, `used_until`): once for all jobs, however many a worker claims. And those of whole lanes.
local opened, opened_lanes = {}, {}

-- open_limits(text, now): those of a job, from its field `wm_limits`, with the places that were taken in this call;
-- `needs_mark`, whether the job must be marked as one that has places to give back.
local function open_limits(text, now)
  local limits, was_marked, needs_mark = {}, false, false
  for i, wanted in ipairs(limits_of(text)) do
    local limit = opened[wanted.key]
    if not limit then
      limit = read_limit(wanted, now)
      if limit.concurrency then limit.held = redis.call('ZCARD', holders_of(wanted.key)) end
      opened[wanted.key] = limit
    end
    limits[i] = limit
    was_marked = was_marked or wanted.concurrency
    needs_mark = needs_mark or limit.concurrency
  end
  -- enqueue.py has not marked a job whose own limits are all rates.
  limits.needs_mark = needs_mark and not was_marked
  return limits
end

-- write_places(now): writes down the places that were taken in this call.
local function write_places(now)
  for key, limit in pairs(opened) do
    if limit.is_used then
      if #limit.holders > 0 then redis.call('ZADD', holders_of(key), unpack(limit.holders)) end
      if limit.has_rate then redis.call('HSET', limit_of(key), 'used_until', string.format('%.6f', limit.used_until)) end
      redis.call('ZADD', prefix .. ':wm:limits', now, key)
      if not limit.fixed then redis.call('EXPIRE', limit_of(key), LIMIT_SECONDS) end
    end
  end
  opened, opened_lanes = {}, {}
end

-- room_under(limits, most, now): how many jobs may begin now, at most `most`. If none: the limit that forbids it, and
-- until when (nil: until a job that runs under it ends).
local function room_under(limits, most, now)
  for i = 1, #limits do
    local limit = limits[i]
    if limit.parked_until > now then return 0, limit, limit.parked_until end
    if limit.concurrency then
      most = math.min(most, limit.concurrency - limit.held)
      if most < 1 then return 0, limit end
    end
    if limit.has_rate then
      if not limit.each then return 0, limit, now + 60 end
      local ahead = limit.used_until - limit.latest
      if ahead > 0 then return 0, limit, now + ahead end
      most = math.min(most, math.floor(-ahead / limit.each) + 1)
    end
  end
  return most
end

-- take_places(id, limits, since): takes a place of each limit; there is room.
local function take_places(id, limits, since)
  for i = 1, #limits do
    local limit = limits[i]
    limit.is_used = true
    if limit.has_rate then limit.used_until = limit.used_until + limit.each end
    if limit.concurrency then
      local holders = limit.holders
      local count = #holders
      limit.held = limit.held + 1
      holders[count + 1], holders[count + 2] = since, id
    end
  end
  if limits.needs_mark then mark_limited(prefix .. ':job:' .. id) end
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

-- let_wait(queue, lane, limits, forbidding, until_when, now): a lane whose first job may not run waits.
local function let_wait(queue, lane, limits, forbidding, until_when, now)
  if until_when then
    redis.call('ZADD', later_of(queue), until_when, lane)
  else
    redis.call('SADD', blocked_by(forbidding.key), lane .. ' ' .. queue)
  end
  pass_on(limits, forbidding, now)
end

-- take_from(queue, lane, most, now, ids): takes up to `most` jobs from the head of a lane, no more than may run. Returns
-- whether another one may be taken from it.
local function take_from(queue, lane, most, now, ids)
  local list, limits = lane_key(queue, lane), opened_lanes[lane]
  local fields, room, forbidding, until_when = FIRST_LANE_FIELDS, most, nil, nil
  if limits then
    fields, room, forbidding, until_when = LANE_FIELDS, room_under(limits, most, now)
    if forbidding then
      if redis.call('EXISTS', list) == 1 then let_wait(queue, lane, limits, forbidding, until_when, now) end
      return false
    end
  end
  in_hand, hand_at = redis.call('LPOP', list, room) or {}, 1
  local count = #in_hand
  if count == 0 then return false end
  -- Formatted once, as in claim.lua.
  local since = string.format('%.3f', now)
  for place = 1, count do
    hand_at = place
    local id = in_hand[place]
    local record = read_record(prefix .. ':job:' .. id, 'deferred', fields) or {}
    if record.status ~= 'deferred' or record.in_lane ~= '1' or lane_records[id] then
      -- Canceled, deleted, or queued again meanwhile: it has another entry then. If it was the last of its lane, a free
      -- place that the lane was told of goes to the next one; what was deleted does not say which (sweep_limits.lua).
      if place == count and redis.call('EXISTS', list) == 0 then
        pass_on(limits or limits_of(record.limits), {}, now)
      end
    else
      local own = limits
      if not own then
        own = open_limits(record.limits, now)
        -- Without any, it may be that its record has been spoiled.
        if #own > 0 then opened_lanes[lane] = own end
        room, forbidding, until_when = room_under(own, 1, now)
        if forbidding then
          return_hand(queue, lane)
          let_wait(queue, lane, own, forbidding, until_when, now)
          return false
        end
      end
      take_places(id, own, since)
      record.status = 'queued'
      lane_records[id] = record
      ids[#ids + 1] = id
    end
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
