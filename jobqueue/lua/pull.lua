-- Hands results out of the completed feed.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  token ('' for none); a call repeated with it returns the first answer's results that still exist
-- ARGV[3]  maximum number of results
-- ARGV[4]  'latest' | 'oldest' first
-- ARGV[5]  lease seconds; 0 hands the results out for good
-- ARGV[6]  seconds that a result handed out for good stays readable
-- ARGV[7]  bytes of results after which the answer ends
-- Returns  for each result: {id, value (base64)}
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _retention
local now, token, limit = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local lease, keep_seconds = tonumber(ARGV[5]), tonumber(ARGV[6])
local max_bytes, bytes = tonumber(ARGV[7]), 0
local feed, wake_key = prefix .. ':wm:feed', prefix .. ':wm:feed:bell'
local leases, places = prefix .. ':wm:feed:leases', prefix .. ':wm:feed:places'
local first_answer = prefix .. ':wm:pull:' .. token

local function value_of(id)
  local entry = (call_own('XREVRANGE', prefix .. ':results:' .. id, '+', '-', 'COUNT', 1) or {})[1]
  if not entry then return nil end
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'return_value' then return entry[2][i + 1] end
  end
  return nil
end

local results, handed_out = {}, {}
if token ~= '' then
  local repeated = redis.call('LRANGE', first_answer, 0, -1)
  for _, id in ipairs(repeated) do
    local value = value_of(id)
    if value then results[#results + 1] = {id, value} end
  end
  if #repeated > 0 then return results end
end

while #results < limit and bytes < max_bytes do
  local popped = redis.call(ARGV[4] == 'oldest' and 'ZPOPMIN' or 'ZPOPMAX', feed, limit - #results)
  if #popped == 0 then break end
  for i = 1, #popped, 2 do
    local id = popped[i]
    -- The answer must fit into Redis' memory and the manager's. What does not fit keeps its place.
    local fits = bytes < max_bytes
    if not fits then redis.call('ZADD', feed, popped[i + 1], id) end
    local value = fits and value_of(id)
    -- An expired result is skipped.
    if value then
      bytes = bytes + #value
      results[#results + 1] = {id, value}
      if lease > 0 then
        redis.call('ZADD', leases, now + lease, id)
        redis.call('HSET', places, id, popped[i + 1])
      else
        handed_out[#handed_out + 1] = id
      end
    end
  end
end
if redis.call('EXISTS', feed) == 0 then
  redis.call('DEL', wake_key)
elseif redis.call('EXISTS', wake_key) == 0 then
  redis.call('RPUSH', wake_key, '1')
end
bring_expiry_forward(handed_out, now, keep_seconds)
if token ~= '' and #results > 0 then
  local ids = {}
  for i, result in ipairs(results) do ids[i] = result[1] end
  in_chunks(ids, function(...) redis.call('RPUSH', first_answer, ...) end)
  redis.call('EXPIRE', first_answer, 60)
end
return results
