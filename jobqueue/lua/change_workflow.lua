-- Creates a workflow, or moves it to another state.
-- KEYS[1]  shard prefix
-- ARGV[1]  id | ARGV[2] state that it must be in: '' none (it does not exist), 'writing' (its jobs do not run yet), 'open'
-- ARGV[3]  new state: 'writing', 'open', 'abandoned' (its jobs never run)
-- ARGV[4]  ttl, seconds
-- ARGV[5+] fields and values to write
-- Returns  the state in which it was ('' none), and the digest of its content ('' if it has none)
-- Flags    none: refused while Redis' memory is full
local prefix = KEYS[1]
-- include: _tolerant
local key = prefix .. ':wm:workflow:' .. ARGV[1]
local state, digest = unpack(redis.call('HMGET', key, 'state', 'digest'))
if (state or '') == ARGV[2] then
  redis.call('HSET', key, 'state', ARGV[3], unpack(ARGV, 5))
  redis.call('EXPIRE', key, ARGV[4])
end
return {state or '', digest or ''}
