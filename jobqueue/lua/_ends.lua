-- What a job has asked for at its end, written by the same script as the end itself.
-- include: _push
-- include: _limits
-- include: _callbacks

-- Ids of jobs whose children are to be told, in this call.
local ended_parents = {}

-- A script that ends many jobs at once sets it to {holders = {}, parents = {}}, collects in it what they leave behind,
-- and sees to that at its end (leave_together, tell_children, line_up_callbacks): ids of jobs that hold places, by the
-- keys of their limits, and ids of jobs that others wait for.
local together

-- note_awaited(id, status): lets settle_children.lua tell the children of a job that has ended.
local function note_awaited(id, status)
  redis.call('HSET', prefix .. ':wm:settle', id, status)
  ended_parents[#ended_parents + 1] = id
end

-- end_job(id, key, at_end, status, iso, value): called once when a job has ended for good, after its record says so and
-- before it is deleted.
--   at_end  field `wm_at_end` of its record, a letter for each thing to be done: 'd', other jobs depend on it; 'c', a
--           callback; 'l', limits. False or nil for a job that asks for nothing, which costs nothing more
--   status  'finished' | 'failed' | 'stopped' | 'canceled' | 'deleted' (of a job that may have ended before)
--   iso     the time as RQ writes it
--   value   the result of a finished job, serialised, in base64
--   limits  its field `wm_limits`, if that has been read
local function end_job(id, key, at_end, status, iso, value, limits)
  if not at_end then return end
  if string.find(at_end, 'd', 1, true) then
    if together then table.insert(together.parents, id) else note_awaited(id, status) end
  end
  if string.find(at_end, 'l', 1, true) then
    leave_limits(id, limits or redis.call('HGET', key, 'wm_limits'), together and together.holders)
  end
  if string.find(at_end, 'c', 1, true) then
    record_callback(id, key, status, iso, value, nil, nil, together ~= nil)
  end
end

-- note_parents(ids, ending): notes jobs that have ended, and that jobs of plain RQ clients depend on, in a hash with
-- their ending ('finished' | 'failed'); enqueue_dependents.lua queues those later. Returns the noted ids. RQ keeps the
-- dependents in a set of their own, which the parent's record does not mention. Hardly any job has dependents, so one
-- EXISTS covers all ids.
local function note_parents(ids, ending)
  local keys, parents = {}, {}
  for i, id in ipairs(ids) do keys[i] = prefix .. ':job:' .. id .. ':dependents' end
  if #keys == 0 or redis.call('EXISTS', unpack(keys)) == 0 then return parents end
  for i, id in ipairs(ids) do
    if redis.call('EXISTS', keys[i]) == 1 then
      parents[#parents + 1] = id
      -- A success counts, although the job has failed again since.
      redis.call(ending == 'finished' and 'HSET' or 'HSETNX', prefix .. ':wm:rq-parents', id, ending)
    end
  end
  return parents
end
