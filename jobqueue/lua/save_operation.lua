-- Saves how far an operation has come, if the manager still holds its lease.
-- KEYS[1]  shard prefix (the first shard's)
-- ARGV[1]  now ('' for Redis' clock), ARGV[2] now as RQ writes it
-- ARGV[3]  id
-- ARGV[4]  token of the lease
-- ARGV[5]  seconds for which the lease goes on
-- ARGV[6]  status if it has ended; '' if it goes on; 'released' if it goes on when the lease is over, at any manager
-- ARGV[7]  seconds for which it is kept after its end
-- ARGV[8+] fields and values
-- Returns  'saved' | 'canceling' (it is to end) | 'lost' (another manager has the lease)
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
local id, token, ended = ARGV[3], ARGV[4], ARGV[6]
local key = prefix .. ':wm:operation:' .. id
local stored = call_own('HMGET', key, 'lease', 'status') or {}
if stored[1] ~= token then return 'lost' end
redis.call('HDEL', key, 'lease')
redis.call('HSET', key, 'lease_until', string.format('%.3f', clock(ARGV[1]) + tonumber(ARGV[5])), unpack(ARGV, 8))
if ended == '' then
  redis.call('HSET', key, 'lease', token)
elseif ended ~= 'released' then
  redis.call('HDEL', key, 'lease_until', 'position')
  redis.call('HSET', key, 'status', ended, 'ended_at', ARGV[2])
  redis.call('EXPIRE', key, ARGV[7])
  redis.call('ZREM', prefix .. ':wm:operations:open', id)
  return 'saved'
end
return stored[2] == 'canceling' and 'canceling' or 'saved'
