-- How claim.lua takes jobs from lanes. Needs _limits.

-- read_limit(limit, now): the numbers that hold for it: those of its hash, or, for a new one, the job's own.
local function read_limit(limit, now)
  local hash = limit_of(limit.key)
  local fields = redis.call('HMGET', hash, 'concurrency', 'starts', 'seconds', 'burst', 'used_until', 'parked_until',
    'fixed')
  if not fields[1] and not fields[2] and not fields[7] then
    fields[1], fields[2], fields[3], fields[4] = limit.concurrency, limit.starts, limit.seconds, limit.burst
    local numbers = {}
    for i, name in ipairs({'concurrency', 'starts', 'seconds', 'burst'}) do
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
    used_until = number(fields[5], 0, 0, 2^40), parked_until = number(fields[6], 0, 0, 2^40),
  }
end

-- take_places(id, limits, now): takes a place of each limit, or none. Returns nil, or the limit that forbids it and until
-- when (nil: until a job that runs under it ends). The rate is GCRA (ITU-T I.371): each job moves `used_until` on by the
-- time that it is worth, and may run if that is at most `burst` such times ahead.
local function take_places(id, limits, now)
  local taken = {}
  for i, limit in ipairs(limits) do
    local now_holds = read_limit(limit, now)
    if now_holds.parked_until > now then return limit, now_holds.parked_until end
    if now_holds.concurrency and redis.call('ZCARD', holders_of(limit.key)) >= now_holds.concurrency then return limit end
    if now_holds.starts then
      if now_holds.starts == 0 then return limit, now + 60 end
      local each = now_holds.seconds / now_holds.starts
      local used_until = math.max(now_holds.used_until, now) + each
      local allowed_at = used_until - now_holds.burst * each
      if allowed_at > now + 1e-6 then return limit, allowed_at end
      taken[i] = used_until
    end
  end
  for i, limit in ipairs(limits) do
    redis.call('ZADD', holders_of(limit.key), now, id)
    if taken[i] then redis.call('HSET', limit_of(limit.key), 'used_until', string.format('%.6f', taken[i])) end
    redis.call('ZADD', prefix .. ':wm:limits', now, limit.key)
    if redis.call('HEXISTS', limit_of(limit.key), 'fixed') == 0 then
      redis.call('EXPIRE', limit_of(limit.key), LIMIT_SECONDS)
    end
  end
  return nil
end

-- pass_on(limits, forbidding): a lane that cannot use a free place of its other limits leaves it to the next.
local function pass_on(limits, forbidding)
  for _, limit in ipairs(limits) do
    if limit.key ~= forbidding.key and free_places(limit.key) > 0 then unblock(limit.key) end
  end
end

-- take_limited(queue, most, now, iso): puts up to `most` jobs of lanes at the head of the queue, where they are claimed at
-- once: one of each lane in turn.
local function take_limited(queue, most, now, iso)
  local ring, later, taken, skipped = ring_of(queue), later_of(queue), {}, 0
  for _, lane in ipairs(redis.call('ZRANGEBYSCORE', later, '-inf', now, 'LIMIT', 0, MAX_SKIPPED_LANES)) do
    redis.call('ZREM', later, lane)
    enter_ring(queue, lane)
  end
  while #taken < most and skipped < MAX_SKIPPED_LANES do
    local lane = redis.call('ZPOPMIN', ring)[1]
    if not lane then break end
    local list = lane_key(queue, lane)
    local id = redis.call('LPOP', list)
    local key = prefix .. ':job:' .. (id or '')
    local status, text, waits = unpack(id and call_own('HMGET', key, 'status', 'wm_limits', 'wm_in_lane') or {})
    local forbidding, until_when
    if status ~= 'deferred' or waits ~= '1' then
      -- Canceled, deleted, or queued again meanwhile: it has another entry then. If it was the last of its lane, a free
      -- place that the lane was told of goes to the next one; what was deleted does not say which (sweep_limits.lua).
      skipped = skipped + 1
      if redis.call('EXISTS', list) == 0 then pass_on(limits_of(text), {}) end
    else
      local limits = limits_of(text)
      forbidding, until_when = take_places(id, limits, now)
      if forbidding then
        redis.call('LPUSH', list, id)
        skipped = skipped + 1
        if until_when then
          redis.call('ZADD', later, until_when, lane)
        else
          redis.call('SADD', blocked_by(forbidding.key), lane .. ' ' .. queue)
        end
        pass_on(limits, forbidding)
      else
        redis.call('ZREM', prefix .. ':deferred:' .. queue, id)
        redis.call('HDEL', key, 'wm_in_lane')
        redis.call('HSET', key, 'status', 'queued')
        taken[#taken + 1] = id
      end
    end
    if not forbidding and redis.call('EXISTS', list) == 1 then enter_ring(queue, lane) end
  end
  for i = #taken, 1, -1 do redis.call('LPUSH', prefix .. ':queue:' .. queue, taken[i]) end
  return #taken
end
