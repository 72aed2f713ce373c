-- Makes callbacks due again at once: those that were given up or delivered with all their attempts, those that wait
-- without a pause.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2+] ids
-- Returns  for each id: 1; 0 if there is no such callback
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _lanes
local now, answers, hosts = clock(ARGV[1]), {}, {}
-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('ZREM', OUTBOX .. ':dead', '')

for i = 2, #ARGV do
  local id = ARGV[i]
  local key = entry_of(id)
  local host = (call_own('HMGET', key, 'host') or {})[1]
  answers[i - 1] = host and 1 or 0
  -- One that is being sent is due again by itself.
  if host and not redis.call('ZSCORE', sending_to(host), id) then
    if redis.call('ZREM', OUTBOX .. ':dead', id) + redis.call('ZREM', OUTBOX .. ':delivered', id) > 0 then
      redis.call('PERSIST', key)
      redis.call('HSET', key, 'tries', 0)
      if not is_fetched(host) then redis.call('ZADD', OUTBOX .. ':waiting', string.match(id, '_(%d+)_%l+$') or now, id) end
    end
    redis.call('ZADD', lane_of(host), now, id)
    redis.call('HDEL', state_of(host), 'paused_until')
    hosts[host] = true
  end
end
for host in pairs(hosts) do schedule_host(host, now) end
return answers
