-- Ends a worker's work on this shard: from now on, and for good, its claims get nothing; and it is told to drain.
-- KEYS[1]  the shard's prefix
-- ARGV     worker, seconds that this is remembered, message, seconds that the message is kept
-- Returns  1
local prefix = KEYS[1]
local closed, messages = prefix .. ':wm:closed:' .. ARGV[1], prefix .. ':wm:commands:' .. ARGV[1]
-- A removal as the first write: the fleet must go on where Redis is full.
redis.call('DEL', closed)
redis.call('SET', closed, '1', 'EX', ARGV[2])
redis.call('RPUSH', messages, ARGV[3])
redis.call('EXPIRE', messages, ARGV[4])
return 1
