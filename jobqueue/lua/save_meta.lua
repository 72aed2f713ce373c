-- Saves the `meta` of a running job, as its function has set it.
-- KEYS[1]  shard prefix
-- ARGV[1]  job id, ARGV[2] token of its lease
-- ARGV[3]  meta, serialised
-- Returns  1; 0 if the lease or the record is gone: nothing is written
local prefix = KEYS[1]
-- include: _tolerant
-- include: _outcomes
local id, leases = ARGV[1], prefix .. ':wm:leases'
-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('ZREM', leases, '')
if not redis.call('ZSCORE', leases, id .. ':' .. ARGV[2]) then return 0 end
local key = prefix .. ':job:' .. id
if not is_leased_by(key, ARGV[2]) then return 0 end
redis.call('HSET', key, 'meta', ARGV[3])
return 1
