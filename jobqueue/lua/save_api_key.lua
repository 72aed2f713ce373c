-- Writes the record of an API key, or deletes it, unless it has been changed or deleted since it was read.
-- KEYS[1]  shard prefix
-- ARGV[1]  id
-- ARGV[2]  the record as it was read; '' if there was none
-- ARGV[3]  the new record; '' to delete it
-- ARGV[4]  maximum number of keys
-- ARGV[5]  author of the change, see _audit.lua; ARGV[6] what it is called; ARGV[7], ARGV[8] what is noted of the key
--          before and after: never its secrets
-- Returns  'saved' | 'changed' | 'full'
local prefix = KEYS[1]
-- include: _tolerant
-- include: _audit
local keys, id, read, new = prefix .. ':wm:keys', ARGV[1], ARGV[2], ARGV[3]
local stored = redis.call('HGET', keys, id) or ''
if stored == new then return 'saved' end
if stored ~= read then return 'changed' end
if new == '' then
  redis.call('HDEL', keys, id)
else
  if stored == '' and redis.call('HLEN', keys) >= tonumber(ARGV[4]) then return 'full' end
  redis.call('HSET', keys, id, new)
end
audit(ARGV[5], ARGV[6], id, ARGV[7], ARGV[8])
return 'saved'
