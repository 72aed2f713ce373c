-- What jobs of plain RQ clients ask for at their success, beyond what all jobs get. Needs _outcomes.
-- include: _places
-- include: _groups

-- finish_rq_job(id, key, features, ttl, now, iso): called once after the success of a job is recorded, before a job that
-- keeps no result is deleted.
--   features  ClaimedJob.rq_features in jobqueue/model.py; not ''
--   ttl       seconds that its result is kept
local function finish_rq_job(id, key, features, ttl, now, iso)
  local group, limit_key = unpack(redis.call('HMGET', key, 'group_id', 'rate_limit_key'))
  if string.find(features, 'd', 1, true) then
    local parents = prefix .. ':job::' .. id .. ':dependencies'
    if ttl == 0 then redis.call('DEL', parents) else set_ttl(parents, ttl) end
  end
  if ttl == 0 then leave_group(id, group) end
  give_back_place(id, limit_key, now, iso)
end
