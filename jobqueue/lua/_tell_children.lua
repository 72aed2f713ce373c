-- tell_children(parents, iso): tells children that these jobs have finished, in the script that records it, where
-- that is a small thing: few children, all on this shard, none of which was canceled by an earlier end. The others are
-- noted for settle_children.lua. Needs _clock and _ends. Stands in a function, so that nothing of it is made for jobs
-- that nobody waits for.
local function tell_children(parents, iso)
  local MAX_CHILDREN, MAX_EDGES = 20, 500
  local waiting, canceled = prefix .. ':wm:children:', prefix .. ':wm:canceled-children:'
  local told, told_keys, children, parents_of, edges = {}, {}, {}, {}, 0

  -- Adds the edges of one parent; returns false if it is to be noted instead.
  local function add_edges(parent)
    local page = call_own('HRANDFIELD', waiting .. parent, MAX_CHILDREN + 1, 'WITHVALUES')
    if not page or #page > 2 * MAX_CHILDREN or edges + #page / 2 > MAX_EDGES then return false end
    for i = 2, #page, 2 do
      if page[i] ~= prefix then return false end
    end
    for i = 1, #page, 2 do
      local child = page[i]
      if not parents_of[child] then
        parents_of[child] = {}
        children[#children + 1] = child
      end
      table.insert(parents_of[child], parent)
    end
    edges = edges + #page / 2
    told[#told + 1] = parent
    told_keys[#told_keys + 1] = waiting .. parent
    return true
  end

  -- Which children wait for nothing any more.
  local function close_edges()
    local free = {}
    for _, child in ipairs(children) do
      local open = prefix .. ':wm:parents:' .. child
      if redis.call('HDEL', open, unpack(parents_of[child])) > 0 and redis.call('EXISTS', open) == 0 then
        free[#free + 1] = child
      end
    end
    return free
  end

  -- Queues those that are registered with all their parents.
  local function release(free)
    if #free == 0 then return end
    local registering, queues = redis.call('ZMSCORE', prefix .. ':wm:registering', unpack(free)), {}
    for i, child in ipairs(free) do
      local key = prefix .. ':job:' .. child
      local status, queue, at_front, lane = unpack(call_own('HMGET', key, 'status', 'origin', 'enqueue_at_front',
        'wm_lane') or {})
      queue = queue or ''
      if status ~= 'deferred' or registering[i] then
        -- It waits no more, or settle_parents.lua will queue it.
      elseif lane or at_front == '1' then
        redis.call('ZREM', prefix .. ':deferred:' .. queue, child)
        queue_job(child, key, queue, at_front == '1', iso)
      else
        queues[queue] = queues[queue] or {}
        table.insert(queues[queue], child)
      end
    end
    for queue, ids in pairs(queues) do
      redis.call('ZREM', prefix .. ':deferred:' .. queue, unpack(ids))
      push(queue, ids, false)
      -- Not before: if that fails, they still wait, and can be found.
      for _, child in ipairs(ids) do
        local key = prefix .. ':job:' .. child
        redis.call('HSET', key, 'status', 'queued', 'enqueued_at', iso)
        note_change(child, key, 'queued')
      end
    end
  end

  local canceled_keys = {}
  for i, parent in ipairs(parents) do canceled_keys[i] = canceled .. parent end
  local has_canceled = redis.call('EXISTS', unpack(canceled_keys)) > 0
  for _, parent in ipairs(parents) do
    if has_canceled or not add_edges(parent) then note_awaited(parent, 'finished') end
  end
  if #told == 0 then return end
  if pcall(function() release(close_edges()) end) then
    redis.call('DEL', unpack(told_keys))
  else
    for _, parent in ipairs(told) do note_awaited(parent, 'finished') end
    -- Some may wait for nothing any more, and not be queued: that is found as they are registered again.
    for _, child in ipairs(children) do redis.call('ZADD', prefix .. ':wm:registering', clock(''), child) end
  end
end
