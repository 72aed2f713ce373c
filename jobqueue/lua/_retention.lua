-- When results of the feed end: RQ's registry of finished jobs says so, and expire.lua ends them. Their keys have no
-- times to live, which would be four more commands for every job, to be written, logged and replicated. The registry's
-- scores lie a century behind the end, where stock workers leave them alone: those drop the entries that are over.
local CENTURY_SECONDS = 3153600000

-- in_chunks(values, call): calls with all of them, some at a time: Lua's stack holds no more than some thousand.
local function in_chunks(values, call)
  for first = 1, #values, 1000 do call(unpack(values, first, math.min(first + 999, #values))) end
end

-- bring_expiry_forward(ids, now, seconds): these results end then, if they would not end earlier. (One that a stock worker recorded
-- after ours, for a job that was queued again, ends by RQ's time to live.)
local function bring_expiry_forward(ids, now, seconds)
  local queues = {}
  for _, id in ipairs(ids) do
    local queue = redis.call('HGET', prefix .. ':job:' .. id, 'origin')
    if queue then
      queues[queue] = queues[queue] or {}
      table.insert(queues[queue], CENTURY_SECONDS + math.floor(now) + seconds)
      table.insert(queues[queue], id)
    end
  end
  for queue, entries in pairs(queues) do
    in_chunks(entries, function(...) redis.call('ZADD', prefix .. ':finished:' .. queue, 'XX', 'LT', ...) end)
  end
end
