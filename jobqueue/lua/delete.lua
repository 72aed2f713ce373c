-- Deletes jobs and everything that is kept about them. A running job is not deleted: cancel it first.
-- KEYS[1]  shard prefix
-- ARGV[1+] job ids
-- Returns  for each id: 'missing' | 'deleted' | 'started'
local prefix = KEYS[1]
local REGISTRIES = {'finished', 'failed', 'canceled', 'scheduled', 'deferred', 'ready'}
local answers = {}
for _, id in ipairs(ARGV) do
  local key = prefix .. ':job:' .. id
  local fields = redis.call('HMGET', key, 'status', 'origin')
  local status, queue = fields[1], fields[2] or ''
  if not status then
    answers[#answers + 1] = 'missing'
  elseif status == 'started' then
    answers[#answers + 1] = 'started'
  else
    if status == 'queued' then redis.call('LREM', prefix .. ':queue:' .. queue, 1, id) end
    for _, registry in ipairs(REGISTRIES) do redis.call('ZREM', prefix .. ':' .. registry .. ':' .. queue, id) end
    redis.call('ZREM', prefix .. ':wm:feed', id)
    redis.call('ZREM', prefix .. ':wm:feed:leases', id)
    redis.call('HDEL', prefix .. ':wm:feed:places', id)
    redis.call('DEL', key, prefix .. ':results:' .. id, key .. ':dependents')
    answers[#answers + 1] = 'deleted'
  end
end
return answers
