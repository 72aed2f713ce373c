-- Acknowledges results that were pulled on a lease: they are not handed out again.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  seconds that an acknowledged result stays readable
-- ARGV[3+] job ids
-- Returns  for each id: 1 if the result was waiting for it (leased, or back in the feed because its lease expired),
--          else 0
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _retention
local now, keep_seconds, answers, acknowledged = clock(ARGV[1]), tonumber(ARGV[2]), {}, {}
for i = 3, #ARGV do
  local id = ARGV[i]
  local removed = redis.call('ZREM', prefix .. ':wm:feed:leases', id) + redis.call('ZREM', prefix .. ':wm:feed', id)
  redis.call('HDEL', prefix .. ':wm:feed:places', id)
  answers[#answers + 1] = math.min(removed, 1)
  if removed > 0 then acknowledged[#acknowledged + 1] = id end
end
bring_expiry_forward(acknowledged, now, keep_seconds)
return answers
