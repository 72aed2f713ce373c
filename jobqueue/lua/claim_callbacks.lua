-- Leases entries of the outbox that are due, to be sent. A lease that ends without a report makes its entry due again.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  token that names the leases
-- ARGV[3]  lease seconds
-- ARGV[4]  maximum number of entries
-- ARGV[5]  how many may be sent to one host at a time, by all managers
-- ARGV[6]  host to look at; '' for all that are due
-- Returns  for each entry: {id, fields and values of its hash}
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _lanes
local now, token, lease = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local wanted, most_at_a_time = tonumber(ARGV[4]), tonumber(ARGV[5])
local MAX_HOSTS = 64
local claimed = {}
local expires_at = string.format('%.3f', now + lease)

local function claim_from(host)
  local lane, sending = lane_of(host), sending_to(host)
  redis.call('ZREMRANGEBYSCORE', sending, '-inf', now)
  local failures, paused_until = host_state(host)
  local most = failures >= FAILURES_UNTIL_PAUSE and 1 or most_at_a_time
  local being_sent = redis.call('ZCARD', sending)
  local room = paused_until > now and 0 or math.min(most - being_sent, wanted - #claimed)
  if room > 0 then
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', lane, '-inf', now, 'LIMIT', 0, room)) do
      local fields = call_own('HGETALL', entry_of(id))
      if fields and #fields > 0 then
        redis.call('ZADD', lane, expires_at, id)
        redis.call('ZADD', sending, expires_at, id)
        redis.call('HSET', entry_of(id), 'lease', token)
        being_sent = being_sent + 1
        claimed[#claimed + 1] = {id, fields}
      else
        -- Another program has destroyed the entry.
        redis.call('ZREM', lane, id)
        redis.call('ZREM', OUTBOX .. ':waiting', id)
      end
    end
  end
  schedule_host(host, now, being_sent >= most)
end

if ARGV[6] ~= '' then
  claim_from(ARGV[6])
else
  for _, host in ipairs(redis.call('ZRANGEBYSCORE', OUTBOX .. ':hosts', '-inf', now, 'LIMIT', 0, MAX_HOSTS)) do
    if #claimed >= wanted then break end
    claim_from(host)
  end
end
return claimed
