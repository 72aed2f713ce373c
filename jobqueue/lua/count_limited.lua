-- Estimates how many jobs of lanes could run now, from a sample of the lanes.
-- KEYS[1]  shard prefix
-- ARGV[1+] queues
-- Returns  a number for each queue
-- Flags    no-writes
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _push
-- include: _limits
local SAMPLE = 50
local answers = {}
for i = 1, #ARGV do
  local queue = ARGV[i]
  local lanes = redis.call('ZRANGE', ring_of(queue), 0, SAMPLE - 1)
  local runnable = 0
  for _, lane in ipairs(lanes) do
    local list = lane_key(queue, lane)
    local id = redis.call('LINDEX', list, 0)
    local most = redis.call('LLEN', list)
    for _, limit in ipairs(id and limits_of(call_own('HGET', prefix .. ':job:' .. id, 'wm_limits')) or {}) do
      -- A limit that no job has had yet has the numbers of this one.
      local known = redis.call('EXISTS', limit_of(limit.key)) == 1
      local places = known and free_places(limit.key) or limit.concurrency or math.huge
      most = math.min(most, math.max(0, places))
      if limit.starts then most = math.min(most, limit.burst or 1) end
    end
    runnable = runnable + most
  end
  if #lanes == SAMPLE then runnable = runnable * redis.call('ZCARD', ring_of(queue)) / SAMPLE end
  answers[#answers + 1] = math.floor(runnable)
end
return answers
