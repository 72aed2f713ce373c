-- Leases queued jobs to a worker.
-- KEYS[1]   shard prefix
-- ARGV[1]   now ('' for Redis' clock)
-- ARGV[2]   now as RQ writes it
-- ARGV[3]   worker
-- ARGV[4]   token that names the leases; a call repeated with it returns those jobs of the first answer that are still
--           leased
-- ARGV[5]   lease seconds
-- ARGV[6]   maximum number of jobs
-- ARGV[7]   result ttl, ARGV[8] failure ttl of jobs that set none, seconds
-- ARGV[9]   bytes of job data after which the answer ends
-- ARGV[10+] queues, in order of priority
-- Returns   for each job: {id, data, timeout ('' for none), queue, feed ('' for a plain RQ job | '0' | '1'),
--           result ttl, failure ttl, attempt, unsupported feature ('' for none)}
local prefix = KEYS[1]
-- include: _clock
-- include: _push
local now, iso, worker, token = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local lease, wanted = tonumber(ARGV[5]), tonumber(ARGV[6])
local default_result_ttl, default_failure_ttl, max_bytes = ARGV[7], ARGV[8], tonumber(ARGV[9])
local leases, claims = prefix .. ':wm:leases', prefix .. ':wm:claim:' .. worker

local UNSUPPORTED_FIELDS = {
  'success_callback_name', 'failure_callback_name', 'stopped_callback_name', 'webhooks', 'repeats_left', 'group_id',
  'rate_limit_key', 'dependency_ids', 'dependency_id',
}
local FEATURE_NAMES = {
  'on_success callback', 'on_failure callback', 'on_stopped callback', 'webhooks', 'repeat', 'group', 'rate limit',
  'dependencies of its own', 'dependencies of its own',
}

local function unsupported_feature(key)
  local found = redis.call('HMGET', key, unpack(UNSUPPORTED_FIELDS))
  for i = 1, #UNSUPPORTED_FIELDS do
    if found[i] and found[i] ~= '' and found[i] ~= '0' then return FEATURE_NAMES[i] end
  end
  return ''
end

local FIELDS = {'data', 'timeout', 'wm_feed', 'result_ttl', 'failure_ttl', 'status', 'started_at', 'wm_attempts',
  'wm_losses', 'ttl', 'origin', 'wm_cancel'}

local function answer(id, key, fields, attempt)
  return {id, fields[1], fields[2] or '', fields[11] or '', fields[3] or '', fields[4] or default_result_ttl,
    fields[5] or default_failure_ttl, attempt, fields[3] and '' or unsupported_feature(key)}
end

local jobs, bytes = {}, 0
local repeated = redis.call('LRANGE', claims, 0, -1)
if repeated[1] == token then
  for i = 2, #repeated do
    local id = repeated[i]
    if redis.call('ZSCORE', leases, id .. ':' .. token) then
      local key = prefix .. ':job:' .. id
      local fields = redis.call('HMGET', key, unpack(FIELDS))
      if fields[1] then jobs[#jobs + 1] = answer(id, key, fields, tonumber(fields[8] or 1)) end
    end
  end
  return jobs
end
-- All workers are suspended (`rq suspend`), or this worker is fenced (fence_worker.lua).
if redis.call('EXISTS', prefix .. ':suspended', prefix .. ':wm:closed:' .. worker) > 0 then return jobs end

local leased, claimed = {}, {token}
-- Formatted once: turning a fraction into text takes longer than adding it to the sorted set.
local expires_at = string.format('%.3f', now + lease)
for q = 10, #ARGV do
  local queue = ARGV[q]
  local queue_key = prefix .. ':queue:' .. queue
  local started = {}
  while #jobs < wanted do
    local ids = redis.call('LPOP', queue_key, wanted - #jobs)
    if not ids or #ids == 0 then break end
    local last
    for i = 1, #ids do
      local id = ids[i]
      local key = prefix .. ':job:' .. id
      local fields = redis.call('HMGET', key, unpack(FIELDS))
      -- Skip a job whose record has expired or that must not run any more.
      if fields[1] and fields[6] == 'queued' then
        local lost_before = fields[9] and tonumber(fields[9]) > 0
        if lost_before and #jobs > 0 then
          -- A job that was lost before is claimed alone: if it crashes this worker too, no other job is hit.
          last = i - 1
        else
          local attempt = 1
          if fields[7] and fields[7] ~= '' then attempt = tonumber(fields[8] or 1) + 1 end
          local timeout = tonumber(fields[2] or 180) or 180
          jobs[#jobs + 1] = answer(id, key, fields, attempt)
          jobs[#jobs][4] = queue
          if attempt > 1 then
            redis.call('HSET', key, 'status', 'started', 'started_at', iso, 'worker_name', worker,
              'wm_attempts', attempt)
          else
            redis.call('HSET', key, 'status', 'started', 'started_at', iso, 'worker_name', worker)
          end
          if fields[10] then redis.call('PERSIST', key) end
          -- A plain RQ client has requeued it after it was cancelled: drop the mark.
          if fields[12] then redis.call('HDEL', key, 'wm_cancel') end
          -- RQ fails every entry of this registry whose score has passed. So the lease is kept elsewhere, and the
          -- score lies far beyond it.
          started[#started + 1] = timeout < 0 and '+inf' or math.floor(now) + timeout + 3600
          started[#started + 1] = id .. ':' .. token
          leased[#leased + 1] = expires_at
          leased[#leased + 1] = id .. ':' .. token
          claimed[#claimed + 1] = id
          -- The answer must fit into Redis' memory and the worker's.
          bytes = bytes + #fields[1]
          if lost_before or bytes >= max_bytes then last = i end
        end
      end
      if last then
        for j = #ids, last + 1, -1 do redis.call('LPUSH', queue_key, ids[j]) end
        wanted = #jobs
        break
      end
    end
  end
  if #started > 0 then redis.call('ZADD', prefix .. ':wip:' .. queue, unpack(started)) end
  if redis.call('LLEN', queue_key) > 0 then
    if #jobs > 0 then wake(queue, 2) end
  else
    redis.call('DEL', prefix .. ':wm:wake:' .. queue)
  end
end
if #jobs > 0 then
  redis.call('ZADD', leases, unpack(leased))
  redis.call('DEL', claims)
  redis.call('RPUSH', claims, unpack(claimed))
  redis.call('EXPIRE', claims, 60)
end
return jobs
