-- What jobs of plain RQ clients ask for at their success, beyond what all jobs get. Needs _push and _outcomes.

-- finish_rq_job(id, key, queue, features, ttl, now, iso): called once after the success of a job is recorded, before a
-- job that keeps no result is deleted. Returns whether the job will run again.
--   features  ClaimedJob.rq_features in jobqueue/claimed_job.py; not ''
--   ttl       seconds that its result is kept
local function finish_rq_job(id, key, queue, features, ttl, now, iso)
  -- All of this stands in here, so that scripts make its functions only for jobs that need them.
-- include: _places
-- include: _groups
-- include: _schedule

  -- By RQ's rule (rq.repeat.Repeat.schedule).
  local function run_again(repeats_left, text)
    local intervals, own_ttl = intervals_of(text or ''), ttl_of(redis.call('HGET', key, 'ttl'), -1)
    redis.call('HSET', key, 'repeats_left', repeats_left - 1, 'ended_at', iso)
    redis.call('HDEL', key, 'wm_losses')
    set_ttl(key, own_ttl > 0 and own_ttl or -1)
    local interval = interval_of(intervals[1])
    if #intervals > 1 then
      table.remove(intervals, 1)
      redis.call('HSET', key, 'repeat_intervals', cjson.encode(intervals))
    end
    retry(id, key, queue, interval, false, now, iso)
    return interval
  end

  local group, limit_key, left, intervals, webhooks = unpack(redis.call('HMGET', key, 'group_id', 'rate_limit_key',
    'repeats_left', 'repeat_intervals', 'webhooks'))
  if webhooks and webhooks ~= '' then record_callback(id, key, 'finished', iso, nil, webhooks, nil, together ~= nil) end
  local repeats_left = number(left, 0, 0, 1e9)
  if repeats_left >= 1 then
    -- It keeps its place if it is queued again at once, as with RQ.
    if run_again(repeats_left, intervals) > 0 then give_back_place(id, limit_key, now, iso) end
    return true
  end
  if string.find(features, 'd', 1, true) then
    local parents = prefix .. ':job::' .. id .. ':dependencies'
    if ttl == 0 then redis.call('DEL', parents) else set_ttl(parents, ttl) end
  end
  if ttl == 0 then leave_group(id, group) end
  give_back_place(id, limit_key, now, iso)
  return false
end
