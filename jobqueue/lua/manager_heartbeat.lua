-- Records a manager's heartbeat: workers leave when no manager has sent one for long.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- Returns  1
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
local now, key = clock(ARGV[1]), prefix .. ':wm:heard'
-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('DEL', key)
redis.call('SET', key, math.floor(now))
return 1
