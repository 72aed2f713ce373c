-- Queues the dependents (_dependents.lua) of jobs that have ended: of those that note_parents has noted.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  now as RQ writes it
-- ARGV[3]  about how many dependents are looked at: the rest is left to the next call
-- Returns  {number of parents whose dependents have all been told, number of jobs queued, '1' if there is more to do}
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _push
-- include: _places
-- include: _limits
-- include: _dependents
local now, iso, most = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local noted = prefix .. ':wm:rq-parents'
-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('ZREM', prefix .. ':wm:leases', '')

local told, queued, looked_at = 0, 0, 0
while looked_at < most do
  local parent = redis.call('HRANDFIELD', noted, 1)[1]
  if not parent then break end
  -- After the ending, where the last call has stopped in a large set.
  local ending, cursor = string.match(redis.call('HGET', noted, parent) or '', '^(%a*) ?(%d*)$')
  local key = prefix .. ':job:' .. parent
  if not cursor or cursor == '' or #cursor > 19 then cursor = '0' end
  local found = call_own('SSCAN', key .. ':dependents', cursor, 'COUNT', most)
  cursor = found and found[1] or '0'
  for _, id in ipairs(found and found[2] or {}) do
    if tell_dependent(id, parent, ending or '', now, iso) then
      redis.call('SREM', key .. ':dependents', id)
      queued = queued + 1
    end
  end
  looked_at = looked_at + 1 + #(found and found[2] or {})
  if cursor ~= '0' then
    redis.call('HSET', noted, parent, (ending or '') .. ' ' .. cursor)
  else
    redis.call('HDEL', noted, parent)
    told = told + 1
    -- What still waits is kept as long as the parent's record.
    local ttl = redis.call('TTL', key)
    if ttl == -2 then redis.call('DEL', key .. ':dependents') end
    if ttl >= 0 then redis.call('EXPIRE', key .. ':dependents', ttl) end
  end
end
return {told, queued, redis.call('EXISTS', noted) == 1 and '1' or ''}
