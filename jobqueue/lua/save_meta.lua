-- Writes what a running function saved as its job's meta.
-- KEYS[1]  the shard's prefix
-- ARGV     id, token, meta
-- Returns  1, or 0 where the lease is gone: nothing is written then
local prefix = KEYS[1]
local id, leases = ARGV[1], prefix .. ':wm:leases'
-- A removal as the first write lets the rest through where Redis is full.
redis.call('ZREM', leases, '')
if not redis.call('ZSCORE', leases, id .. ':' .. ARGV[2]) then return 0 end
local key = prefix .. ':job:' .. id
if redis.call('EXISTS', key) == 0 then return 0 end
redis.call('HSET', key, 'meta', ARGV[3])
return 1
