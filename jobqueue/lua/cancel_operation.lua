-- Lets an operation end after the step that it is in.
-- KEYS[1]  shard prefix (the first shard's)
-- ARGV[1]  id
-- ARGV[2]  author, see _audit.lua
-- Returns  'missing' | 'ended' | 'canceling'
local prefix = KEYS[1]
-- include: _tolerant
-- include: _audit
local id, author = ARGV[1], ARGV[2]
local key = prefix .. ':wm:operation:' .. id
local status = call_own('HGET', key, 'status')
if not status then return 'missing' end
if not redis.call('ZSCORE', prefix .. ':wm:operations:open', id) then return 'ended' end
if status ~= 'canceling' then
  redis.call('HDEL', key, 'note')
  redis.call('HSET', key, 'status', 'canceling')
  audit(author, 'operation_canceled', id, '', '')
end
return 'canceling'
