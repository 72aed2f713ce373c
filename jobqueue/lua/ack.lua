-- Ends the lease of results for good: their consumer has them.
-- KEYS[1]  the shard's prefix
-- ARGV     now, seconds that an acknowledged result stays readable, ids
-- Returns  for each: 1 if it was waiting for it (leased, or back in the feed because the lease ran out), else 0
local prefix = KEYS[1]
-- include: _clock
-- include: _retention
local now, keep, acknowledged, ended = clock(ARGV[1]), tonumber(ARGV[2]), {}, {}
for i = 3, #ARGV do
  local id = ARGV[i]
  local removed = redis.call('ZREM', prefix .. ':wm:feed:leases', id) + redis.call('ZREM', prefix .. ':wm:feed', id)
  redis.call('HDEL', prefix .. ':wm:feed:places', id)
  acknowledged[#acknowledged + 1] = math.min(removed, 1)
  if removed > 0 then ended[#ended + 1] = id end
end
bring_expiry_forward(ended, now, keep)
return acknowledged
