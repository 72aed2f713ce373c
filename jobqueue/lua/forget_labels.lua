-- Forgets which labels jobs had whose records have ended. Each label is looked at once a day.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  maximum number of labels
-- ARGV[3]  the call ends after the label with which it has looked at this many jobs
-- Returns  {number of labels that were looked at, number of jobs that were forgotten}
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _labels
local CHUNK = 200
local now, max_jobs, jobs, forgotten = clock(ARGV[1]), tonumber(ARGV[3]), 0, 0
local index = prefix .. ':wm:labels'

local function is_gone(id)
  return id ~= '' and raw_call('EXISTS', prefix .. ':job:' .. id) == 0
end

-- Hardly any record is gone, so one EXISTS covers a whole chunk.
local function forget_ended(key, ids, first)
  local last, names = math.min(first + CHUNK - 1, #ids), {}
  for i = first, last do
    if ids[i] ~= '' then names[#names + 1] = prefix .. ':job:' .. ids[i] end
  end
  if #names == 0 or raw_call('EXISTS', unpack(names)) == #names then return end
  for i = first, last do
    if is_gone(ids[i]) then forgotten = forgotten + redis.call('ZREM', key, ids[i]) end
  end
end

local labels = redis.call('ZRANGEBYSCORE', index, '-inf', now, 'LIMIT', 0, ARGV[2])
for number, label in ipairs(labels) do
  local key = prefix .. ':wm:label:' .. label
  local ids = redis.call('ZRANGE', key, 0, -1)
  -- A removal comes first, so that the script also runs when Redis' memory is full.
  redis.call('ZREM', index, label)
  for first = 1, #ids, CHUNK do forget_ended(key, ids, first) end
  local left = redis.call('ZCARD', key)
  if left == 0 or (left == 1 and redis.call('ZSCORE', key, '')) then
    redis.call('DEL', key)
  else
    redis.call('ZADD', index, math.floor(now) + CHECK_LABEL_SECONDS, label)
  end
  jobs = jobs + #ids
  if jobs >= max_jobs then return {number, forgotten} end
end
return {#labels, forgotten}
