-- Writes a schedule, or deletes it, unless it has been changed or deleted since it was read.
-- KEYS[1]  shard prefix
-- ARGV[1]  name
-- ARGV[2]  revision that was read ('' if there was none), ARGV[3] next instant that was read ('' for none)
-- ARGV[4]  new revision
-- ARGV[5]  new next instant: '' for none | '=' for what it is by now, whatever was read
-- ARGV[6]  when it is due: the seconds by which runs are later than their instants | '' never, it is paused
-- ARGV[7]  maximum number of schedules
-- ARGV[8]  author of the change, see _audit.lua; ARGV[9] what it is called; ARGV[10], ARGV[11] the schedule before and
--          after
-- ARGV[12] seconds for which the last instant of a deleted schedule is remembered
-- ARGV[13+] fields and values; an empty value deletes the field. None to delete the schedule
-- Returns  'saved' | 'changed' | 'full'
local prefix = KEYS[1]
-- include: _tolerant
-- include: _audit
local name, revision, read_next, new_revision, new_next, offset = unpack(ARGV, 1, 6)
local schedules, key = prefix .. ':wm:schedules', prefix .. ':wm:schedule:' .. name
local stored = redis.call('HMGET', key, 'revision', 'next', 'last')
local deletes = #ARGV == 12
if (stored[1] or '') ~= revision then return 'changed' end
if new_next ~= '=' and not deletes and (stored[2] or '') ~= read_next then return 'changed' end
if not deletes and revision == '' and redis.call('ZCARD', schedules) >= tonumber(ARGV[7]) then return 'full' end
-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('ZREM', schedules, name)
if deletes then
  redis.call('DEL', key, key .. ':history', key .. ':active')
  if stored[3] then
    redis.call('HSET', key, 'last', stored[3])
    redis.call('EXPIRE', key, ARGV[12])
  end
else
  redis.call('PERSIST', key)
  for i = 13, #ARGV, 2 do
    if ARGV[i + 1] == '' then redis.call('HDEL', key, ARGV[i]) else redis.call('HSET', key, ARGV[i], ARGV[i + 1]) end
  end
  if new_next == '=' then new_next = stored[2] or '' end
  redis.call('HSET', key, 'revision', new_revision, 'next', new_next)
  local due = new_next ~= '' and offset ~= '' and tonumber(new_next) + tonumber(offset)
  redis.call('ZADD', schedules, due and string.format('%.17g', due) or '+inf', name)
end
audit(ARGV[8], ARGV[9], name, ARGV[10], ARGV[11])
return 'saved'
