-- Records what came of attempts to send entries of the outbox.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  seconds for which a delivered entry is kept, ARGV[3] one that was given up
-- ARGV[4+] for each attempt: id | token of its lease | outcome: delivered, retry, dead | seconds until the next attempt
--          | '1' if the host works, '0' if not, '' if that is not known | the attempt as a line of JSON
-- Returns  ids of the entries whose lease is gone: nothing was recorded for them
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _lanes
local now, kept_seconds = clock(ARGV[1]), {delivered = tonumber(ARGV[2]), dead = tonumber(ARGV[3])}
local MAX_KEPT, MAX_ATTEMPTS, MAX_LOG_BYTES = 10000, 12, 32768
local MAX_HELD_SECONDS = 99 * 86400
local FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 5, 300
local lost, hosts = {}, {}

-- A host that works again gets at once what waits for its next attempt.
local function bring_forward(host)
  local lane, sending = lane_of(host), sending_to(host)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', lane, now, now + MAX_HELD_SECONDS)) do
    if not redis.call('ZSCORE', sending, id) then redis.call('ZADD', lane, now, id) end
  end
end

local function note_host(host, works)
  local failures, paused_until = host_state(host)
  if works == '1' then
    if failures > 0 then redis.call('DEL', state_of(host)) end
    if failures >= FAILURES_UNTIL_PAUSE then bring_forward(host) end
  elseif works == '0' and paused_until <= now then
    -- Others that were being sent when the pause began say nothing new.
    failures = failures + 1
    redis.call('HSET', state_of(host), 'failures', failures)
    if failures >= FAILURES_UNTIL_PAUSE then
      local pause = math.min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ^ math.min(failures - FAILURES_UNTIL_PAUSE, 20))
      redis.call('HSET', state_of(host), 'paused_until', string.format('%.3f', now + pause))
    end
    redis.call('EXPIRE', state_of(host), 86400)
  end
end

local function note_attempt(key, line)
  local log = (redis.call('HGET', key, 'log') or '') .. line .. '\n'
  local _, count = string.gsub(log, '\n', '')
  while count > 1 and (count > MAX_ATTEMPTS or #log > MAX_LOG_BYTES) do
    log, count = string.sub(log, string.find(log, '\n') + 1), count - 1
  end
  redis.call('HSET', key, 'log', log)
end

local function keep(id, key, outcome)
  local kept = OUTBOX .. ':' .. outcome
  redis.call('ZADD', kept, now, id)
  redis.call('EXPIRE', key, kept_seconds[outcome])
  redis.call('ZREMRANGEBYSCORE', kept, '-inf', now - kept_seconds[outcome])
  if redis.call('ZCARD', kept) > MAX_KEPT then
    redis.call('DEL', entry_of(redis.call('ZPOPMIN', kept)[1]))
  end
end

for i = 4, #ARGV, 6 do
  local id, token, outcome, delay, works, line = unpack(ARGV, i, i + 5)
  local key = entry_of(id)
  local fields = call_own('HMGET', key, 'lease', 'host', 'next') or {}
  local host = fields[2]
  if fields[1] ~= token or not host then
    lost[#lost + 1] = id
  else
    local lane = lane_of(host)
    -- The first write must be a removal, so that the script also runs when Redis' memory is full.
    redis.call('ZREM', sending_to(host), id)
    redis.call('HDEL', key, 'lease')
    redis.call('HINCRBY', key, 'tries', 1)
    note_attempt(key, line)
    if outcome == 'retry' then
      redis.call('ZADD', lane, now + tonumber(delay), id)
    else
      redis.call('ZREM', lane, id)
      redis.call('ZREM', OUTBOX .. ':waiting', id)
      if fields[3] and redis.call('ZSCORE', lane, fields[3]) then redis.call('ZADD', lane, now, fields[3]) end
      keep(id, key, outcome)
    end
    redis.call('HINCRBY', OUTBOX .. ':counts', outcome == 'retry' and 'failed' or outcome, 1)
    note_host(host, works)
    hosts[host] = true
  end
end
for host in pairs(hosts) do schedule_host(host, now) end
return lost
