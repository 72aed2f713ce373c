-- Hands results out.
-- KEYS[1]  the shard's prefix
-- ARGV     now, token ('' none), most results, 'latest' | 'oldest', lease seconds (0: handed out for good),
--          seconds that a result which was handed out for good stays readable
-- Returns  for each result: {id, base64 value}
-- A repeat with the same token returns the first answer again, as far as its results still exist.
local prefix = KEYS[1]
-- include: _clock
local now, token, most, lease, keep = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5]), tonumber(ARGV[6])
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

local function hand_out_for_good(id)
  local key = prefix .. ':job:' .. id
  local queue = redis.call('HGET', key, 'origin')
  local left = redis.call('TTL', key)
  if left == -1 or left > keep then
    redis.call('EXPIRE', key, keep)
    redis.call('EXPIRE', prefix .. ':results:' .. id, keep)
    if queue then redis.call('ZADD', prefix .. ':finished:' .. queue, 'XX', math.floor(now) + keep, id) end
  end
end

local results = {}
if token ~= '' then
  local repeated = redis.call('LRANGE', pulled, 0, -1)
  for _, id in ipairs(repeated) do
    local value = value_of(id)
    if value then results[#results + 1] = {id, value} end
  end
  if #repeated > 0 then return results end
end

while #results < most do
  local popped = redis.call(ARGV[4] == 'oldest' and 'ZPOPMIN' or 'ZPOPMAX', feed, most - #results)
  if #popped == 0 then break end
  for i = 1, #popped, 2 do
    local id = popped[i]
    local value = value_of(id)
    -- A result whose time is over is passed over.
    if value then
      results[#results + 1] = {id, value}
      if lease > 0 then
        redis.call('ZADD', leased, now + lease, id)
        redis.call('HSET', places, id, popped[i + 1])
      else
        hand_out_for_good(id)
      end
    end
  end
end
if redis.call('EXISTS', feed) == 0 then
  redis.call('DEL', bell)
elseif redis.call('EXISTS', bell) == 0 then
  redis.call('RPUSH', bell, '1')
end
if token ~= '' and #results > 0 then
  for _, result in ipairs(results) do redis.call('RPUSH', pulled, result[1]) end
  redis.call('EXPIRE', pulled, 60)
end
return results
