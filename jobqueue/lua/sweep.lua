-- Removes what plain RQ clients leave behind when they delete, cancel or expire a job: entries of jobs that are gone,
-- and places of rate limits that nobody needs. Restores a status that such a client has overwritten with an old one.
-- Jobs that are gone leave their groups. Queues jobs that wait for others, if those have ended and the program that should have told them so has died.
-- Each call checks a part of every registry, round and round.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  now as RQ writes it
-- ARGV[3]  queue
-- ARGV[4]  maximum number of entries of each kind
-- ARGV[5]  which part: 0, 1, 2, …
-- Returns  number of entries removed
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _push
-- include: _places
-- include: _outcomes
-- include: _restored
-- include: _limits
-- include: _dependents
local now, iso, queue, limit, part = clock(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local removed = 0
-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('ZREM', prefix .. ':wm:leases', '')

-- The entries of this part of a sorted set.
local function entries_of(key)
  local size = call_own('ZCARD', key) or 0
  if size == 0 then return {} end
  local first = (part % math.ceil(size / limit)) * limit
  return redis.call('ZRANGE', key, first, first + limit - 1)
end

local function exists(id)
  return redis.call('EXISTS', prefix .. ':job:' .. id) == 1
end

-- A job whose `ttl` has passed leaves its id in the queue. Those at the head are removed; the others get there.
local queue_key = prefix .. ':queue:' .. queue
for _ = 1, limit do
  local id = call_own('LINDEX', queue_key, 0)
  if not id or exists(id) then break end
  redis.call('LPOP', queue_key)
  removed = removed + 1
end

-- The statuses of the jobs in each registry. A record that cannot be read keeps its entries: it is shown as unreadable.
-- RQ keeps a job that repeats in its registry of finished jobs while it waits for its next run.
local STATUSES = {
  scheduled = {scheduled = true}, deferred = {deferred = true}, ready = {ready_to_enqueue = true},
  finished = {finished = true, scheduled = true, queued = true, started = true},
  failed = {failed = true, stopped = true}, canceled = {canceled = true},
}
-- What a job is that stands in a registry and nowhere else.
local TOLD_BY = {scheduled = true, deferred = true, finished = true, failed = true, canceled = true}
local KNOWN = {queued = true, started = true, rate_limited = true, created = true}
for _, statuses in pairs(STATUSES) do
  for status in pairs(statuses) do KNOWN[status] = true end
end
for name, statuses in pairs(STATUSES) do
  local registry = prefix .. ':' .. name .. ':' .. queue
  for _, id in ipairs(entries_of(registry)) do
    local status = call_own('HGET', prefix .. ':job:' .. id, 'status')
    if KNOWN[status or ''] and status ~= name and TOLD_BY[name] and restore_status(id, queue, name) then
      -- It stays where it is.
    elseif not statuses[status or ''] and (KNOWN[status or ''] or not exists(id)) then
      removed = removed + redis.call('ZREM', registry, id)
    end
  end
end

-- RQ moves a dependent first to the registry of ready jobs, which holds since when, and then to its queue.
local READY_SECONDS = 10
local ready = prefix .. ':ready:' .. queue
for _, id in ipairs(entries_of(ready)) do
  if number(redis.call('ZSCORE', ready, id), 0, 0, 1e11) < now - READY_SECONDS then
    local fields = call_own('HMGET', prefix .. ':job:' .. id, unpack(DEPENDENT)) or {}
    if fields[1] == 'ready_to_enqueue' then release_dependent(id, fields, now, iso) end
  end
end
for _, id in ipairs(entries_of(prefix .. ':deferred:' .. queue)) do release_if_met(id, now, iso) end

-- An execution is over if no worker of ours has a lease on it, RQ has no record of it, and its job does not run.
local started = prefix .. ':wip:' .. queue
for _, member in ipairs(entries_of(started)) do
  local id, token = string.match(member, '^([^:]+):(.+)$')
  if not redis.call('ZSCORE', prefix .. ':wm:leases', member)
    and (not id or redis.call('EXISTS', prefix .. ':execution:' .. id .. ':' .. token) == 0
      and call_own('HGET', prefix .. ':job:' .. id, 'status') ~= 'started') then
    removed = removed + redis.call('ZREM', started, member)
  end
end

-- As RQ's maintenance does (rq.rate_limit.RateLimitRegistry.cleanup).
local keys = call_own('SRANDMEMBER', prefix .. ':rl-keys', limit) or {}
for _, limit_key in ipairs(keys) do
  local places = prefix .. ':rl:' .. limit_key .. ':allowed'
  for _, id in ipairs(entries_of(places)) do
    local status = call_own('HGET', prefix .. ':job:' .. id, 'status')
    if status ~= 'queued' and status ~= 'started'
      and redis.call('ZCOUNT', prefix .. ':executions:' .. id, '(' .. math.floor(now), '+inf') == 0 then
      removed = removed + redis.call('ZREM', places, id)
    end
  end
  fill_places(limit_key, now, iso)
  local limit_hash = prefix .. ':rl:' .. limit_key
  if redis.call('EXISTS', places, limit_hash .. ':rate_limited') == 0 then
    redis.call('SREM', prefix .. ':rl-keys', limit_key)
    redis.call('DEL', limit_hash)
  end
end

-- As RQ's maintenance does (rq.group.Group.clean_registries): jobs that are gone leave their groups.
local MAX_GROUPS = 20
for _, group in ipairs(call_own('SRANDMEMBER', prefix .. ':groups', MAX_GROUPS) or {}) do
  local members = prefix .. ':group:' .. group
  for _, id in ipairs(call_own('SRANDMEMBER', members, limit) or {}) do
    if not exists(id) then removed = removed + redis.call('SREM', members, id) end
  end
  if redis.call('EXISTS', members) == 0 then redis.call('SREM', prefix .. ':groups', group) end
end
return removed
