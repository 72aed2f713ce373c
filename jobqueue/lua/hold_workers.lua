-- Holds workers that may be about to drain: for some seconds their claims on this shard return nothing. A worker is not
-- held while a job waits that it could claim now: in a queue that it serves and that is not paused.
-- KEYS[1]  shard prefix
-- ARGV[1]  token of this hold, ARGV[2] seconds that it lasts at most
-- ARGV[3+] workers
-- Returns  for each worker 1 if it is held, or fenced already (fence_worker.lua); otherwise 0
local prefix = KEYS[1]
-- include: _tolerant
local QUEUE_KEY = prefix .. ':queue:'
local CHUNK = 1000

-- The names of the queues from which a job can be claimed now.
local function waiting_queues()
  local waiting, own, is_paused = {}, {}, {}
  if redis.call('EXISTS', prefix .. ':suspended') == 1 then return waiting end
  for _, queue in ipairs(redis.pcall('HKEYS', prefix .. ':wm:paused')) do is_paused[queue] = true end
  for _, key in ipairs(redis.pcall('SMEMBERS', prefix .. ':queues')) do
    -- A key of another form lies on another shard.
    if string.sub(key, 1, #QUEUE_KEY) == QUEUE_KEY then own[#own + 1] = key end
  end
  for first = 1, #own, CHUNK do
    local last = math.min(first + CHUNK - 1, #own)
    -- A queue that is empty does not exist.
    local lists = {unpack(own, first, last)}
    for i = first, last do lists[#lists + 1] = prefix .. ':wm:ring:' .. string.sub(own[i], #QUEUE_KEY + 1) end
    if redis.call('EXISTS', unpack(lists)) > 0 then
      for i = first, last do
        local name, length = string.sub(own[i], #QUEUE_KEY + 1), redis.pcall('LLEN', own[i])
        -- Something that is no list has no jobs.
        local has_jobs = type(length) == 'number' and length > 0
          or redis.call('EXISTS', prefix .. ':wm:ring:' .. name) == 1
        if not is_paused[name] and has_jobs then waiting[#waiting + 1] = name end
      end
    end
  end
  return waiting
end

local waiting = waiting_queues()

local function has_work(worker)
  local key = prefix .. ':worker:' .. worker
  -- Which queues a worker serves that is not listed here is not known.
  if redis.pcall('SISMEMBER', prefix .. ':workers', key) ~= 1 then return #waiting > 0 end
  for _, queue in ipairs(waiting) do
    for _, served in ipairs({queue, '*'}) do
      if redis.pcall('SISMEMBER', prefix .. ':workers:' .. served, key) == 1 then return true end
    end
  end
  return false
end

local answers = {}
for i = 3, #ARGV do
  local hold = prefix .. ':wm:closed:' .. ARGV[i]
  local holder = redis.pcall('GET', hold)
  if holder == '1' then
    answers[#answers + 1] = 1
  elseif (holder and holder ~= ARGV[1]) or has_work(ARGV[i]) then
    answers[#answers + 1] = 0
  else
    -- The first write must be a removal, so that the script also runs when Redis' memory is full.
    redis.call('DEL', hold)
    redis.call('SET', hold, ARGV[1], 'EX', ARGV[2])
    answers[#answers + 1] = 1
  end
end
return answers
