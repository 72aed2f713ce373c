-- Deletes jobs and everything that is kept about them. A running job is not deleted: cancel it first.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  now as RQ writes it
-- ARGV[3+] for each job: id | the queue that it must be in, else it is missing ('' for any)
-- Returns  for each id: 'missing' | 'deleted' | 'started'
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _push
-- include: _places
-- include: _ends
-- include: _groups
-- include: _changes
local now, iso = clock(ARGV[1]), ARGV[2]
local REGISTRIES = {'finished', 'failed', 'canceled', 'scheduled', 'deferred', 'ready'}
local AWAY = {scheduled = true, deferred = true, created = true, rate_limited = true, ready_to_enqueue = true,
  finished = true, failed = true, stopped = true, canceled = true}
local answers = {}
for i = 3, #ARGV, 2 do
  local id, wanted = ARGV[i], ARGV[i + 1]
  local key = prefix .. ':job:' .. id
  -- A key of another type can be deleted, too.
  local fields = call_own('HMGET', key, 'status', 'origin', 'rate_limit_key', 'group_id') or {'', false, false, false}
  local status, queue = fields[1], fields[2] or ''
  if not status or (wanted ~= '' and wanted ~= queue) then
    answers[#answers + 1] = 'missing'
  elseif status == 'started' then
    answers[#answers + 1] = 'started'
  else
    -- One with an unknown status may stand in its queue.
    if not AWAY[status] then redis.call('LREM', prefix .. ':queue:' .. queue, 1, id) end
    for _, registry in ipairs(REGISTRIES) do redis.call('ZREM', prefix .. ':' .. registry .. ':' .. queue, id) end
    redis.call('ZREM', prefix .. ':wm:feed', id)
    redis.call('ZREM', prefix .. ':wm:feed:leases', id)
    redis.call('HDEL', prefix .. ':wm:feed:places', id)
    note_change(id, key, 'deleted')
    end_job(id, key, call_own('HGET', key, 'wm_at_end'), 'deleted', iso)
    redis.call('DEL', key, prefix .. ':results:' .. id, key .. ':dependents', prefix .. ':job::' .. id .. ':dependencies',
      prefix .. ':wm:parents:' .. id, prefix .. ':wm:log:' .. id)
    leave_group(id, fields[4])
    give_back_place(id, fields[3], now, iso)
    answers[#answers + 1] = 'deleted'
  end
end
return answers
