-- When results in the completed feed expire (docs/decisions/0009). RQ's registry of finished jobs holds the time as a
-- score, and expire.lua deletes what is due. The keys themselves have no TTL: that would cost four more commands for
-- every job, to be written, logged and replicated. The scores lie a century after the expiry, where plain RQ workers
-- leave them alone. Needs _clock.

-- in_chunks(values, call): passes all values to `call`, 1000 at a time: Lua's stack holds a few thousand.
local function in_chunks(values, call)
  for first = 1, #values, 1000 do call(unpack(values, first, math.min(first + 999, #values))) end
end

-- bring_expiry_forward(ids, now, seconds): lets results expire after `seconds`, unless they expire earlier anyway.
-- (If a plain RQ worker has run a requeued job again after us, that result expires by RQ's TTL.)
local function bring_expiry_forward(ids, now, seconds)
  local queues = {}
  for _, id in ipairs(ids) do
    local queue = call_own('HGET', prefix .. ':job:' .. id, 'origin')
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
