-- Gives back places of limits that no job holds any more, because a plain RQ client has deleted or canceled it, and lets
-- lanes that wait for a free place look again.
-- KEYS[1]  shard prefix
-- ARGV[1]  cursor: '0' at first, then as returned
-- ARGV[2]  about how many limits
-- Returns  {next cursor ('0' at the end), number of places given back}
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _push
-- include: _limits
local MAX_HOLDERS = 200
local given_back = 0
-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('ZREM', prefix .. ':wm:leases', '')
local page = redis.call('ZSCAN', prefix .. ':wm:limits', ARGV[1], 'COUNT', ARGV[2])
for i = 1, #page[2], 2 do
  local key = page[2][i]
  -- Those that hold it longest; one that is still right goes to the end.
  for _, id in ipairs(redis.call('ZRANGE', holders_of(key), 0, MAX_HOLDERS - 1)) do
    local status = call_own('HGET', prefix .. ':job:' .. id, 'status')
    if status ~= 'started' and status ~= 'queued' then
      redis.call('ZREM', holders_of(key), id)
      given_back = given_back + 1
    end
  end
  for _ = 1, math.min(free_places(key), MAX_HOLDERS) do
    if redis.call('EXISTS', blocked_by(key)) == 0 then break end
    unblock(key)
  end
  if redis.call('EXISTS', limit_of(key), holders_of(key), blocked_by(key)) == 0 then
    redis.call('ZREM', prefix .. ':wm:limits', key)
  end
end
return {page[1], given_back}
