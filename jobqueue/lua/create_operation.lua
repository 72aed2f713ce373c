-- Writes an operation on many jobs, unless there is one with the id.
-- KEYS[1]  shard prefix (the first shard's)
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  id
-- ARGV[3]  what was asked for, a JSON object
-- ARGV[4]  maximum number of operations that have not ended
-- ARGV[5]  seconds for which operations are listed
-- ARGV[6]  author, see _audit.lua
-- ARGV[7]  queues that its author's key is bound to
-- ARGV[8+] further fields and values
-- Returns  'created' | 'repeated' (there is one that was asked for the same, in the same queues) | 'conflict' | 'full'
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _audit
local now, id, request = clock(ARGV[1]), ARGV[2], ARGV[3]
local key, open = prefix .. ':wm:operation:' .. id, prefix .. ':wm:operations:open'
-- A removal comes first, so that the script also runs when Redis' memory is full: an operation can free it.
redis.call('ZREMRANGEBYSCORE', prefix .. ':wm:operations', '-inf', now - tonumber(ARGV[5]))
local stored, queues = unpack(redis.call('HMGET', key, 'request', 'queues'))
if stored then return stored == request and (queues or '') == ARGV[7] and 'repeated' or 'conflict' end
if redis.call('ZCARD', open) >= tonumber(ARGV[4]) then return 'full' end
redis.call('HSET', key, 'request', request, 'status', 'queued', 'queues', ARGV[7], unpack(ARGV, 8))
redis.call('ZADD', prefix .. ':wm:operations', string.format('%.6f', now), id)
redis.call('ZADD', open, string.format('%.6f', now), id)
audit(ARGV[6], 'operation_started', id, '', request)
return 'created'
