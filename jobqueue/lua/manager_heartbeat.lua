-- Notes that a manager lives.
-- KEYS[1]  the shard's prefix
-- ARGV     now
-- Returns  1
local prefix = KEYS[1]
-- include: _clock
local now, key = clock(ARGV[1]), prefix .. ':wm:heard'
-- A removal as the first write: managers are heard where Redis is full.
redis.call('DEL', key)
redis.call('SET', key, math.floor(now))
return 1
