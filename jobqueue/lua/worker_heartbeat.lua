-- Lists a worker, or keeps it listed.
-- KEYS[1]  the shard's prefix
-- ARGV     now, worker, seconds that its record is kept, '1' to list it | '0' only where it is listed already,
--          number of queues it is new on, those queues, then names and values of its record's fields
-- Returns  1, or 0 where it was to be listed already and is not
local prefix = KEYS[1]
-- include: _clock
local now, worker, count = clock(ARGV[1]), ARGV[2], tonumber(ARGV[5])
local key, heard_of = prefix .. ':worker:' .. worker, prefix .. ':wm:workers'

-- A removal as the first write: workers stay listed where Redis is full.
redis.call('ZREM', heard_of, '')
if ARGV[4] == '0' and redis.call('EXISTS', key) == 0 then return 0 end
redis.call('HSET', key, unpack(ARGV, 6 + count))
redis.call('EXPIRE', key, ARGV[3])
redis.call('ZADD', heard_of, math.floor(now), worker)
if ARGV[4] == '1' then redis.call('SADD', prefix .. ':workers', key) end
for i = 6, 5 + count do redis.call('SADD', prefix .. ':workers:' .. ARGV[i], key) end
return 1
