-- Adds to the histograms of jobs' times.
-- KEYS[1]  shard prefix
-- ARGV[1]  how many pairs of queue and function are kept apart
-- ARGV[2]  the pair that stands for all others
-- ARGV[3+] for each pair: the pair | JSON object: `n`, numbers to be added; `e`, for each histogram its newest example,
--          or 0 (jobqueue/lifecycle/times.py)
-- Returns  0
local prefix = KEYS[1]
-- include: _tolerant
local key = prefix .. ':wm:times'

-- What is kept of a pair; nil if it is nothing of this form.
local function kept(pair, like)
  local decoded, old = pcall(cjson.decode, call_own('HGET', key, pair) or '')
  if not decoded or type(old) ~= 'table' or type(old.n) ~= 'table' or type(old.e) ~= 'table' then return nil end
  if #old.n ~= #like.n or #old.e ~= #like.e then return nil end
  for _, value in ipairs(old.n) do
    if type(value) ~= 'number' or not (value >= 0 and value < 1e14) then return nil end
  end
  return old
end

-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('HDEL', key, '')
local room = tonumber(ARGV[1]) - redis.call('HLEN', key)
for i = 3, #ARGV, 2 do
  local pair, new = ARGV[i], cjson.decode(ARGV[i + 1])
  if redis.call('HEXISTS', key, pair) == 0 then
    if room > 0 then room = room - 1 else pair = ARGV[2] end
  end
  local old = kept(pair, new)
  if old then
    for n, value in ipairs(old.n) do new.n[n] = new.n[n] + value end
    for n, example in ipairs(old.e) do
      if new.e[n] == 0 then new.e[n] = example end
    end
  end
  redis.call('HSET', key, pair, cjson.encode(new))
end
return 0
