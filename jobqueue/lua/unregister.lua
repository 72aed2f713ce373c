-- Removes a worker's record, and notes that it exited cleanly: it runs no job.
-- KEYS[1]  shard prefix
-- ARGV[1]  worker
-- ARGV[2]  seconds that its clean exit is remembered
-- ARGV[3+] its queues
-- Returns  1
local prefix = KEYS[1]
-- include: _tolerant
local worker = ARGV[1]
local key = prefix .. ':worker:' .. worker
redis.call('SREM', prefix .. ':workers', key)
for i = 3, #ARGV do redis.call('SREM', prefix .. ':workers:' .. ARGV[i], key) end
redis.call('ZREM', prefix .. ':wm:workers', worker)
redis.call('DEL', key, key .. ':executions', prefix .. ':wm:commands:' .. worker, prefix .. ':wm:claim:' .. worker)
redis.call('SET', prefix .. ':wm:left:' .. worker, '1', 'EX', ARGV[2])
return 1
