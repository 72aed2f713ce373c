-- Writes new jobs. Jobs that share everything but id and data travel as one group.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2+] for each group: queue | mode: R tail, L head, S scheduled | due: seconds since the epoch ('' unless S)
--          | unique key ('' for none) | its milliseconds | function
--          | number of shared fields, their names and values | number of jobs, then id and data of each
-- Returns  for each job in order: 1 written | 2 already there with the same content | 0 there with other content
--          | {id, milliseconds left} of the job that has the unique key
local prefix = KEYS[1]
-- include: _push

-- Fields that change during a job's life: two submissions are the same whatever these say.
local VOLATILE = {created_at = true, enqueued_at = true, status = true, retries_left = true, meta = true}

local function same_content(key, data, shared)
  local stored = redis.call('HMGET', key, 'data', 'retry_intervals')
  if stored[1] ~= data then return false end
  local retried = false
  for i = 1, #shared, 2 do retried = retried or shared[i] == 'retry_intervals' end
  -- If only the stored job has retries, comparing the submitted fields would not show it.
  if stored[2] and not retried then return false end
  for i = 1, #shared, 2 do
    if not VOLATILE[shared[i]] and redis.call('HGET', key, shared[i]) ~= shared[i + 1] then return false end
  end
  return true
end

local answers, at = {}, 2
while at <= #ARGV do
  local queue, mode, due, unique, within, name = unpack(ARGV, at, at + 5)
  local field_count = tonumber(ARGV[at + 6])
  local shared = {unpack(ARGV, at + 7, at + 6 + field_count * 2)}
  at = at + 7 + field_count * 2
  local written = {}
  local last = at + tonumber(ARGV[at]) * 2
  for i = at + 1, last, 2 do
    local id, data = ARGV[i], ARGV[i + 1]
    local key = prefix .. ':job:' .. id
    local taken = unique ~= '' and redis.call('GET', prefix .. ':wm:unique:' .. unique)
    if taken and taken ~= id then
      answers[#answers + 1] = {taken, redis.call('PTTL', prefix .. ':wm:unique:' .. unique)}
    elseif redis.call('EXISTS', key) == 1 then
      answers[#answers + 1] = same_content(key, data, shared) and 2 or 0
    else
      redis.call('HSET', key, 'data', data, unpack(shared))
      if unique ~= '' then redis.call('SET', prefix .. ':wm:unique:' .. unique, id, 'PX', within) end
      written[#written + 1] = id
      answers[#answers + 1] = 1
    end
  end
  at = last + 1
  if #written > 0 then
    if mode == 'S' then
      for _, id in ipairs(written) do redis.call('ZADD', prefix .. ':scheduled:' .. queue, due, id) end
      redis.call('SADD', prefix .. ':queues', prefix .. ':queue:' .. queue)
    elseif mode == 'L' then
      for _, id in ipairs(written) do push(queue, {id}, true) end
    else
      push(queue, written, false)
    end
    redis.call('HINCRBY', prefix .. ':wm:enqueued', name, #written)
  end
end
return answers
