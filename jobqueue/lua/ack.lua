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
  local feed, was_waiting, is_over = prefix .. ':wm:feed', true, true
  if redis.call('ZREM', feed .. ':leases', id) == 1 then
    -- If its id is in the feed, too, the job has run again since: nobody has seen that result yet.
    is_over = not redis.call('ZSCORE', feed, id)
  else
    was_waiting = redis.call('ZREM', feed, id) == 1
  end
  redis.call('HDEL', feed .. ':places', id)
  answers[#answers + 1] = was_waiting and 1 or 0
  if was_waiting and is_over then acknowledged[#acknowledged + 1] = id end
end
bring_expiry_forward(acknowledged, now, keep_seconds)
return answers
