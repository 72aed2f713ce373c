-- When results in the completed feed expire (docs/decisions/0009). RQ's registry of finished jobs holds the time as a
-- score, and expire.lua deletes what is due. The keys themselves have no TTL: that would cost four more commands for
-- every job, to be written, logged and replicated. The scores lie a century after the expiry, where plain RQ workers
-- leave them alone. Needs _clock.

-- in_chunks(values, call): passes all values to `call`, 1000 at a time: Lua's stack holds a few thousand.
local function in_chunks(values, call)
  for first = 1, #values, 1000 do call(unpack(values, first, math.min(first + 999, #values))) end
end

-- move_expiry(queue, ids, score): lets those of these results that are in the registry of this queue expire by `score`,
-- unless they expire earlier anyway. Returns for how many that was a change.
local function move_expiry(queue, ids, score)
  local changed = 0
  in_chunks(ids, function(...)
    local entries = {}
    for i, id in ipairs({...}) do entries[i * 2 - 1], entries[i * 2] = score, id end
    changed = changed + redis.call('ZADD', prefix .. ':finished:' .. queue, 'XX', 'LT', 'CH', unpack(entries))
  end)
  return changed
end

-- bring_expiry_forward(ids, now, seconds): lets results expire after `seconds`, unless they expire earlier anyway.
-- (If a plain RQ worker has run a requeued job again after us, that result expires by RQ's TTL.)
local function bring_expiry_forward(ids, now, seconds)
  if #ids == 0 then return end
  local score = CENTURY_SECONDS + math.floor(now) + seconds
  local function queue_of(id) return call_own('HGET', prefix .. ':job:' .. id, 'origin') end
  -- As a rule, all are of one queue: then one record is read.
  local first = queue_of(ids[1])
  if first and move_expiry(first, ids, score) == #ids then return end
  local queues = {}
  for _, id in ipairs(ids) do
    local queue = queue_of(id)
    if queue then
      queues[queue] = queues[queue] or {}
      table.insert(queues[queue], id)
    end
  end
  for queue, of_queue in pairs(queues) do move_expiry(queue, of_queue, score) end
end
