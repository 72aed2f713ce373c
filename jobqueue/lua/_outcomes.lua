-- drop_execution(id, token, worker): removes RQ's record of a running execution.
local function drop_execution(id, token, worker)
  redis.call('DEL', prefix .. ':execution:' .. id .. ':' .. token)
  redis.call('ZREM', prefix .. ':executions:' .. id, token)
  if worker then redis.call('SREM', prefix .. ':worker:' .. worker .. ':executions', id .. ':' .. token) end
end

-- remember_dependents(ids): RQ keeps them in a set that the parent does not mention; they are looked after once the
-- script is over (jobqueue/lifecycle/dependents.py). Returns the ids that have any; hardly any job has, so one look is for all.
local function remember_dependents(ids)
  local keys, found = {}, {}
  for i, id in ipairs(ids) do keys[i] = prefix .. ':job:' .. id .. ':dependents' end
  if #keys == 0 or redis.call('EXISTS', unpack(keys)) == 0 then return found end
  for i, id in ipairs(ids) do
    if redis.call('EXISTS', keys[i]) == 1 then found[#found + 1] = id end
  end
  redis.call('SADD', prefix .. ':wm:dependents', unpack(found))
  return found
end

-- expire(key, seconds): -1 keeps the key for ever.
local function expire(key, seconds)
  if seconds < 0 then redis.call('PERSIST', key) else redis.call('EXPIRE', key, seconds) end
end

-- fail(id, key, queue, end_): the final end of a job that did not succeed.
-- end_: status ('failed' | 'stopped'), reason, type (RQ's Result.Type), trace (base64 of zlib), value (or ''),
--       worker, ttl (seconds, -1: for ever), now, iso
local function fail(id, key, queue, end_)
  redis.call('HSET', key, 'status', end_.status, 'ended_at', end_.iso, 'wm_reason', end_.reason)
  local results = prefix .. ':results:' .. id
  local entry = {'type', end_.type, 'worker_name', end_.worker}
  if end_.trace ~= '' then entry[#entry + 1] = 'exc_string'; entry[#entry + 1] = end_.trace end
  if end_.value ~= '' then entry[#entry + 1] = 'return_value'; entry[#entry + 1] = end_.value end
  redis.call('XADD', results, 'MAXLEN', '~', 10, '*', unpack(entry))
  expire(key, end_.ttl)
  expire(results, end_.ttl)
  local score = '+inf'
  if end_.ttl >= 0 then score = math.floor(end_.now) + end_.ttl end
  redis.call('ZADD', prefix .. ':failed:' .. queue, score, id)
end

-- cancel(id, key, queue, ttl, now, iso): the end of a job that will not begin any more.
local function cancel(id, key, queue, ttl, now, iso)
  redis.call('HSET', key, 'status', 'canceled', 'ended_at', iso)
  redis.call('HDEL', key, 'wm_cancel')
  redis.call('ZADD', prefix .. ':canceled:' .. queue, math.floor(now), id)
  expire(key, ttl)
  -- Of earlier runs.
  expire(prefix .. ':results:' .. id, ttl)
end
