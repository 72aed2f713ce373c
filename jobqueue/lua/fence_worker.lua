-- Fences a worker: its claims on this shard return nothing, for a day, which is longer than its instance takes to
-- terminate. It also gets a `drain` command.
-- KEYS[1]  shard prefix
-- ARGV[1]  worker
-- ARGV[2]  seconds that the fence is kept
-- ARGV[3]  message that tells the worker to drain, ARGV[4] seconds that it is kept
-- Returns  1
local prefix = KEYS[1]
-- include: _tolerant
local fence, commands = prefix .. ':wm:closed:' .. ARGV[1], prefix .. ':wm:commands:' .. ARGV[1]
-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('DEL', fence)
redis.call('SET', fence, '1', 'EX', ARGV[2])
redis.call('RPUSH', commands, ARGV[3])
redis.call('EXPIRE', commands, ARGV[4])
return 1
