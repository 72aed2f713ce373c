-- Writes the record of an API key, unless it has been changed or deleted since it was read.
-- KEYS[1]  shard prefix
-- ARGV[1]  id
-- ARGV[2]  the record as it was read; '' if there was none
-- ARGV[3]  the new record
-- ARGV[4]  maximum number of keys
-- Returns  'saved' | 'changed' | 'full'
local prefix = KEYS[1]
-- include: _tolerant
local keys, id, read, new = prefix .. ':wm:keys', ARGV[1], ARGV[2], ARGV[3]
local stored = redis.call('HGET', keys, id) or ''
if stored == new then return 'saved' end
if stored ~= read then return 'changed' end
if stored == '' and redis.call('HLEN', keys) >= tonumber(ARGV[4]) then return 'full' end
redis.call('HSET', keys, id, new)
return 'saved'
