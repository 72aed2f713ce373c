-- Records jobs that succeeded.
-- KEYS[1]  the shard's prefix
-- ARGV     now, now as RQ writes it, worker
--          number of functions, for each: name, jobs, seconds
--          then groups, each: queue | token | result ttl (-1 for ever, 0 keep nothing) | feed '0' | '1'
--          | recorded '1' where RQ's execution record was written | number of jobs, their ids and base64 values
-- Returns  {ids whose lease was gone (nothing was recorded for them), ids that have dependents}
local prefix = KEYS[1]
-- include: _clock
-- include: _end
local now, iso, worker = clock(ARGV[1]), ARGV[2], ARGV[3]
local leases = prefix .. ':wm:leases'

local function record(id, queue, ttl, value)
  local key, results = prefix .. ':job:' .. id, prefix .. ':results:' .. id
  redis.call('XADD', results, 'MAXLEN', '~', 10, '*', 'type', '1', 'worker_name', worker, 'return_value', value)
  redis.call('HSET', key, 'status', 'finished', 'ended_at', iso)
  expire(key, ttl)
  expire(results, ttl)
end

local lost, with_dependents, recorded_jobs = {}, {}, 0
local at = 5 + tonumber(ARGV[4]) * 3
while at <= #ARGV do
  local queue, token, ttl = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local feed, recorded = ARGV[at + 3] == '1', ARGV[at + 4] == '1'
  local first, last = at + 6, at + 5 + tonumber(ARGV[at + 5]) * 2
  local members = {}
  for i = first, last, 2 do members[#members + 1] = ARGV[i] .. ':' .. token end
  local held = redis.call('ZMSCORE', leases, unpack(members))
  -- The first write is a removal, so that a full Redis still takes what ends jobs.
  redis.call('ZREM', leases, unpack(members))
  redis.call('ZREM', prefix .. ':wip:' .. queue, unpack(members))
  local finished, handed_out = {}, {}
  for n = 1, #members do
    local id, value = ARGV[first + n * 2 - 2], ARGV[first + n * 2 - 1]
    if not held[n] then
      lost[#lost + 1] = id
    else
      recorded_jobs = recorded_jobs + 1
      if recorded then drop_execution(id, token, worker) end
      if remember_dependents(id) then with_dependents[#with_dependents + 1] = id end
      if ttl == 0 then
        redis.call('DEL', prefix .. ':job:' .. id, prefix .. ':results:' .. id)
      else
        record(id, queue, ttl, value)
        finished[#finished + 1] = ttl < 0 and '+inf' or math.floor(now) + ttl
        finished[#finished + 1] = id
        if feed then handed_out[#handed_out + 1] = id end
      end
    end
  end
  if #finished > 0 then redis.call('ZADD', prefix .. ':finished:' .. queue, unpack(finished)) end
  if #handed_out > 0 then
    local sequence = redis.call('INCRBY', prefix .. ':wm:feed:sequence', #handed_out) - #handed_out
    local entries = {}
    for n, id in ipairs(handed_out) do
      entries[#entries + 1] = sequence + n
      entries[#entries + 1] = id
    end
    redis.call('ZADD', prefix .. ':wm:feed', unpack(entries))
    local bell = prefix .. ':wm:feed:bell'
    if redis.call('EXISTS', bell) == 0 then redis.call('RPUSH', bell, '1') end
  end
  at = last + 1
end
if recorded_jobs > 0 then
  for i = 5, 4 + tonumber(ARGV[4]) * 3, 3 do
    redis.call('HINCRBY', prefix .. ':wm:finished', ARGV[i], ARGV[i + 1])
    redis.call('HINCRBYFLOAT', prefix .. ':wm:seconds', ARGV[i], ARGV[i + 2])
  end
end
return {lost, with_dependents}
