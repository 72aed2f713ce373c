-- Records jobs that succeeded.
-- KEYS[1]  the shard's prefix
-- ARGV     now, now as RQ writes it, worker
--          then groups of at most 1,000 jobs, each: queue | token | function | seconds that its jobs ran, together
--          | result ttl (-1 for ever, 0 keep nothing) | feed '0' | '1'
--          | recorded '1' where RQ's execution record was written
--          | number of jobs, then for each: id, base64 value, its place among all jobs of the call
-- Returns  {ids whose lease was gone (nothing was recorded for them), ids that have dependents}
local prefix = KEYS[1]
-- include: _clock
-- include: _outcomes
-- include: _retention
local now, iso, worker = clock(ARGV[1]), ARGV[2], ARGV[3]
local leases = prefix .. ':wm:leases'
-- How long a job without a result stays for RQ to find the jobs that depend on it.
local DEPENDENTS_SECONDS = 60

-- False where the record has been deleted meanwhile (a stock client can): nothing may come of it then.
local function record(id, ttl, value, feed)
  local key, results = prefix .. ':job:' .. id, prefix .. ':results:' .. id
  -- A job that was leased has a status, so two new fields mean that there was no record, and one that it never ended.
  local new = redis.call('HSET', key, 'status', 'finished', 'ended_at', iso)
  if new == 2 then
    redis.call('DEL', key, results)
    return false
  end
  if new == 1 then
    redis.call('XADD', results, '*', 'type', '1', 'worker_name', worker, 'return_value', value)
  else
    redis.call('XADD', results, 'MAXLEN', '~', 10, '*', 'type', '1', 'worker_name', worker, 'return_value', value)
  end
  -- What goes into the feed ends by its entry in the registry; what ended before may have times to live of then.
  if not feed or new == 0 then
    local seconds = feed and -1 or ttl
    expire(key, seconds)
    expire(results, seconds)
  end
  return true
end

local function forget(ids, parents)
  local kept = {}
  for _, id in ipairs(parents) do kept[id] = true end
  for _, id in ipairs(ids) do
    local key = prefix .. ':job:' .. id
    if kept[id] then
      redis.call('HSET', key, 'status', 'finished', 'ended_at', iso)
      redis.call('EXPIRE', key, DEPENDENTS_SECONDS)
    else
      redis.call('DEL', key)
    end
    redis.call('DEL', prefix .. ':results:' .. id)
  end
end

local lost, with_dependents, places, handed_out = {}, {}, {}, {}
local at = 4
while at <= #ARGV do
  local queue, token, name, seconds, ttl = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4])
  local feed, recorded = ARGV[at + 5] == '1', ARGV[at + 6] == '1'
  local first, last = at + 8, at + 7 + tonumber(ARGV[at + 7]) * 3
  local members = {}
  for i = first, last, 3 do members[#members + 1] = ARGV[i] .. ':' .. token end
  local held = redis.call('ZMSCORE', leases, unpack(members))
  -- The first write is a removal, so that a full Redis still takes what ends jobs.
  redis.call('ZREM', leases, unpack(members))
  redis.call('ZREM', prefix .. ':wip:' .. queue, unpack(members))
  local finished, done = {}, {}
  for n = 1, #members do
    local at_job = first + n * 3 - 3
    local id = ARGV[at_job]
    if held[n] and recorded then drop_execution(id, token, worker) end
    if not held[n] or (ttl ~= 0 and not record(id, ttl, ARGV[at_job + 1], feed)) then
      lost[#lost + 1] = id
    else
      done[#done + 1] = id
      if ttl ~= 0 then
        finished[#finished + 1] = ttl < 0 and '+inf' or math.floor(now) + ttl + (feed and CENTURY_SECONDS or 0)
        finished[#finished + 1] = id
        if feed then
          local place = tonumber(ARGV[at_job + 2])
          places[#places + 1] = place
          handed_out[place] = id
        end
      end
    end
  end
  local parents = remember_dependents(done)
  for _, id in ipairs(parents) do with_dependents[#with_dependents + 1] = id end
  if ttl == 0 then forget(done, parents) end
  if #finished > 0 then redis.call('ZADD', prefix .. ':finished:' .. queue, unpack(finished)) end
  if #done > 0 then
    redis.call('HINCRBY', prefix .. ':wm:finished', name, #done)
    redis.call('HINCRBYFLOAT', prefix .. ':wm:seconds', name, tonumber(seconds) * #done / #members)
  end
  at = last + 1
end

if #places > 0 then
  -- The feed's order is that of the call, whatever groups its jobs came in.
  table.sort(places)
  local feed, bell = prefix .. ':wm:feed', prefix .. ':wm:feed:bell'
  local sequence = redis.call('INCRBY', feed .. ':sequence', #places) - #places
  local entries = {}
  for n, place in ipairs(places) do
    entries[#entries + 1] = sequence + n
    entries[#entries + 1] = handed_out[place]
  end
  redis.call('ZADD', feed, unpack(entries))
  if redis.call('EXISTS', bell) == 0 then redis.call('RPUSH', bell, '1') end
end
return {lost, with_dependents}
