-- Hands results out.
-- KEYS[1]  the shard's prefix
-- ARGV     now, token ('' none), most results, 'latest' | 'oldest', lease seconds (0: handed out for good),
--          seconds that a result which was handed out for good stays readable, most bytes
-- Returns  for each result: {id, base64 value}
-- A repeat with the same token returns the first answer again, as far as its results still exist.
local prefix = KEYS[1]
-- include: _clock
-- include: _retention
local now, token, most, lease, keep = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5]), tonumber(ARGV[6])
local most_bytes, bytes = tonumber(ARGV[7]), 0
local feed, bell = prefix .. ':wm:feed', prefix .. ':wm:feed:bell'
local leased, places = prefix .. ':wm:feed:leases', prefix .. ':wm:feed:places'
local pulled = prefix .. ':wm:pull:' .. token

local function value_of(id)
  local entry = redis.call('XREVRANGE', prefix .. ':results:' .. id, '+', '-', 'COUNT', 1)[1]
  if not entry then return nil end
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'return_value' then return entry[2][i + 1] end
  end
  return nil
end

local results, handed_out = {}, {}
if token ~= '' then
  local repeated = redis.call('LRANGE', pulled, 0, -1)
  for _, id in ipairs(repeated) do
    local value = value_of(id)
    if value then results[#results + 1] = {id, value} end
  end
  if #repeated > 0 then return results end
end

while #results < most and bytes < most_bytes do
  local popped = redis.call(ARGV[4] == 'oldest' and 'ZPOPMIN' or 'ZPOPMAX', feed, most - #results)
  if #popped == 0 then break end
  for i = 1, #popped, 2 do
    local id = popped[i]
    -- One answer must fit into Redis' memory and the manager's: the rest keeps its place.
    local fits = bytes < most_bytes
    if not fits then redis.call('ZADD', feed, popped[i + 1], id) end
    local value = fits and value_of(id)
    -- A result whose time is over is passed over.
    if value then
      bytes = bytes + #value
      results[#results + 1] = {id, value}
      if lease > 0 then
        redis.call('ZADD', leased, now + lease, id)
        redis.call('HSET', places, id, popped[i + 1])
      else
        handed_out[#handed_out + 1] = id
      end
    end
  end
end
if redis.call('EXISTS', feed) == 0 then
  redis.call('DEL', bell)
elseif redis.call('EXISTS', bell) == 0 then
  redis.call('RPUSH', bell, '1')
end
bring_expiry_forward(handed_out, now, keep)
if token ~= '' and #results > 0 then
  local ids = {}
  for i, result in ipairs(results) do ids[i] = result[1] end
  in_chunks(ids, function(...) redis.call('RPUSH', pulled, ...) end)
  redis.call('EXPIRE', pulled, 60)
end
return results
