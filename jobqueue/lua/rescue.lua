-- Finds started jobs that nobody holds, because a lease was lost with its key or never written, and takes them back as
-- reap.lua does. A job is held if a worker of ours has a lease on it, or a plain RQ worker an execution. Jobs that have
-- ended, and only look as if they ran or waited, get their end back instead (_restored.lua).
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  now as RQ writes it
-- ARGV[3]  as RQ writes it: a job that started later is left alone
-- ARGV[4]  losses after which a job fails
-- ARGV[5]  failure ttl of jobs that set none, seconds
-- ARGV[6]  trace (zlib-compressed, in base64) of a job that was lost too often
-- ARGV[7+] keys of jobs; others are skipped
-- Returns  {id, worker, 'queued' | 'failed' | 'stopped'} for each job that was taken back
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _push
-- include: _outcomes
-- include: _places
-- include: _losses
-- include: _restored
local now, iso, started_before, max_losses = clock(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local PREFIX = prefix .. ':job:'
-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('ZREM', prefix .. ':wm:leases', '')

-- A start that is no time, or lies ahead, does not count.
local function has_just_started(started_at)
  return started_at and started_at > started_before and started_at <= iso
end

-- restore_end(id, queue): whether a job has ended, and a plain RQ client has overwritten that. Now its record says so.
local function restore_end(id, queue)
  for _, registry in ipairs({'finished', 'failed', 'canceled'}) do
    if call_own('ZSCORE', prefix .. ':' .. registry .. ':' .. queue, id) then
      return restore_status(id, queue, registry)
    end
  end
  return false
end

local WAITS = {queued = true, scheduled = true, deferred = true, created = true}
local suspects = {}
for i = 7, #ARGV do
  local key = ARGV[i]
  local id = string.sub(key, #PREFIX + 1)
  if string.sub(key, 1, #PREFIX) == PREFIX and not string.find(id, ':', 1, true) then
    local fields = call_own('HMGET', key, 'status', 'origin', 'started_at', 'wm_lease') or {}
    if fields[1] == 'started' and not has_just_started(fields[3])
      and redis.call('EXISTS', prefix .. ':executions:' .. id) == 0 then
      if not restore_end(id, fields[2] or '') then
        suspects[#suspects + 1] = {id = id, key = key, queue = fields[2] or ''}
      end
    elseif WAITS[fields[1]] and fields[4] then
      -- It has run before.
      restore_end(id, fields[2] or '')
    end
  end
end
if #suspects == 0 then return {} end

local held = {}
for _, member in ipairs(redis.call('ZRANGE', prefix .. ':wm:leases', 0, -1)) do
  held[string.match(member, '^[^:]*')] = true
end

-- Entries of the registry whose execution is over; the other ones hold their job.
local registries = {}
local function entries_of(queue)
  if not registries[queue] then
    local entries = {}
    for _, member in ipairs(redis.call('ZRANGE', prefix .. ':wip:' .. queue, 0, -1)) do
      local id, token = string.match(member, '^([^:]*):(.*)$')
      entries[id or member] = {member = member, token = token}
    end
    registries[queue] = entries
  end
  return registries[queue]
end

local taken_back = {}
for _, job in ipairs(suspects) do
  local entry = entries_of(job.queue)[job.id]
  local runs = entry and (not entry.token
    or redis.call('EXISTS', prefix .. ':execution:' .. job.id .. ':' .. entry.token) == 1)
  if not held[job.id] and not runs then
    if entry then redis.call('ZREM', prefix .. ':wip:' .. job.queue, entry.member) end
    taken_back[#taken_back + 1] = take_back(job.id, job.key, max_losses, ARGV[5], ARGV[6], now, iso)
  end
end
return taken_back
