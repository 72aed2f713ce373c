-- How workers that serve every queue take the queues in turn, so that no queue waits because another is full.
-- The sorted set <prefix>:wm:turns holds the keys of the queues that may have jobs; the lowest score is next. Its member
-- '' holds the score of the queue served last. A queue that is served moves back by one turn. A queue that gets its
-- first job joins half a turn behind the one served last, so it comes before all that have been served since.
local MAX_VISITS = 16
local QUEUE_KEY = prefix .. ':queue:'
local turns = prefix .. ':wm:turns'

-- known_queues(): keys of up to 16 queues that are not empty, though they are not in the turns: plain RQ clients only
-- add to their list. The managers let such queues join soon; this is for times without a manager.
local function known_queues()
  local found = {}
  for _, key in ipairs(redis.call('SRANDMEMBER', prefix .. ':queues', MAX_VISITS)) do
    if string.sub(key, 1, #QUEUE_KEY) == QUEUE_KEY then found[#found + 1] = key end
  end
  if #found == 0 or redis.call('EXISTS', unpack(found)) == 0 then return {} end
  return found
end

-- queues_in_turn(): {list = {{name, key, score}, …}, last_served = score, more = whether there are others}
local function queues_in_turn()
  local flat = redis.pcall('ZRANGE', turns, 0, MAX_VISITS + 1, 'WITHSCORES')
  if flat.err then
    -- Something else stands under this key.
    redis.call('DEL', turns)
    flat = {}
  end
  local answer = {list = {}, last_served = 0, has_mark = flat[1] == '', more = false}
  if answer.has_mark then answer.last_served = tonumber(flat[2]) end
  for i = answer.has_mark and 3 or 1, #flat, 2 do
    if string.sub(flat[i], 1, #QUEUE_KEY) ~= QUEUE_KEY then
      redis.call('ZREM', turns, flat[i])
    elseif #answer.list == MAX_VISITS then
      answer.more = true
    else
      table.insert(answer.list, {string.sub(flat[i], #QUEUE_KEY + 1), flat[i], tonumber(flat[i + 1])})
    end
  end
  if #answer.list == 0 then
    for _, key in ipairs(known_queues()) do
      table.insert(answer.list, {string.sub(key, #QUEUE_KEY + 1), key, answer.last_served + 0.5})
    end
  end
  return answer
end

-- end_turns(taken, emptied, served): notes which queues (by key) have been emptied or served, and wakes the next worker.
-- Returns nothing. One queue alone that is served again and again costs no write.
local function end_turns(taken, emptied, served)
  local gone, moved, last_served = {}, {}, taken.last_served
  local left = taken.more and 1 or 0
  for _, entry in ipairs(taken.list) do
    local key, score = entry[2], entry[3]
    if served[key] then last_served = math.max(last_served, score) end
    if emptied[key] then
      gone[#gone + 1] = key
    else
      left = left + 1
      if served[key] then
        moved[#moved + 1] = score + 1
        moved[#moved + 1] = key
      end
    end
  end
  if left == 0 then
    redis.call('DEL', turns, prefix .. ':wm:wake:*')
    return
  end
  if #gone > 0 then redis.call('ZREM', turns, unpack(gone)) end
  if #taken.list == 1 and not taken.more and #moved > 0 then
    last_served = taken.last_served
    if taken.has_mark and moved[1] == last_served + 2 then moved = {} else moved[1] = last_served + 1 end
  end
  if #moved > 0 or last_served > taken.last_served then
    redis.call('ZADD', turns, last_served, '', unpack(moved))
  end
  add_wake_tokens('*', 2)
end

-- leave_turns(emptied, served): takes queues out of the turns that a worker which names them has emptied.
local function leave_turns(emptied, served)
  local gone = {}
  for key in pairs(emptied) do
    if served[key] then gone[#gone + 1] = key end
  end
  if #gone == 0 or redis.call('ZREM', turns, unpack(gone)) == 0 then return end
  local rest = redis.call('ZRANGE', turns, 0, 1)
  if #rest == 0 or (#rest == 1 and rest[1] == '') then redis.call('DEL', turns, prefix .. ':wm:wake:*') end
end
