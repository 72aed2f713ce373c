-- Lets no job begin under a limit for a while, because a job that runs under it has been told to wait.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  job | ARGV[3] token of its lease
-- ARGV[4]  key of the limit | ARGV[5] seconds
-- Returns  1; 0 if the job has no such limit, or its lease is gone
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _push
-- include: _limits
-- include: _outcomes
local now, key = clock(ARGV[1]), prefix .. ':job:' .. ARGV[2]
if not is_leased_by(key, ARGV[3]) then return 0 end
for _, limit in ipairs(limits_of(redis.call('HGET', key, 'wm_limits'))) do
  if limit.key == ARGV[4] then
    local hash = limit_of(limit.key)
    local before = number(redis.call('HGET', hash, 'parked_until'), 0, 0, 2^40)
    redis.call('HSET', hash, 'parked_until', string.format('%.3f', math.max(before, now + ARGV[5])))
    return 1
  end
end
return 0
