-- Lists a worker, or keeps it listed.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  worker
-- ARGV[3]  seconds that its record is kept
-- ARGV[4]  '1' to list it; '0' to update it only if it is listed
-- ARGV[5]  number of queues to list it for, then those queues, then names and values of its record's fields
-- Returns  1; 0 if it should be listed but is not
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
local now, worker, queue_count = clock(ARGV[1]), ARGV[2], tonumber(ARGV[5])
local key, heartbeats = prefix .. ':worker:' .. worker, prefix .. ':wm:workers'

-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('ZREM', heartbeats, '')
if ARGV[4] == '0' and (call_own('HLEN', key) or 0) == 0 then return 0 end
redis.call('HSET', key, unpack(ARGV, 6 + queue_count))
redis.call('EXPIRE', key, ARGV[3])
redis.call('ZADD', heartbeats, math.floor(now), worker)
if ARGV[4] == '1' then redis.call('SADD', prefix .. ':workers', key) end
for i = 6, 5 + queue_count do redis.call('SADD', prefix .. ':workers:' .. ARGV[i], key) end
return 1
