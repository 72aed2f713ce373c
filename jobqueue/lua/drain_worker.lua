-- Tells a worker to drain, once however often it is repeated, and notes who has said so.
-- KEYS[1]  shard prefix
-- ARGV[1]  worker
-- ARGV[2]  message that tells it, ARGV[3] seconds that it is kept
-- ARGV[4]  author, see _audit.lua
-- Returns  1
local prefix = KEYS[1]
-- include: _tolerant
-- include: _audit
local commands = prefix .. ':wm:commands:' .. ARGV[1]
-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('LREM', commands, 0, ARGV[2])
redis.call('RPUSH', commands, ARGV[2])
redis.call('EXPIRE', commands, ARGV[3])
audit(ARGV[4], 'worker_drained', ARGV[1], '', '')
return 1
