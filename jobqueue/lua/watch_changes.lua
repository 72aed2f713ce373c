-- Lets scripts write what changes in jobs (_changes.lua) for a while, and tells where the stream of changes ends.
-- KEYS[1]  shard prefix
-- ARGV[1]  seconds for which changes are written, ARGV[2] seconds for which they are kept
-- ARGV[3]  id of the entry after which the caller reads on ('' for none)
-- Returns  {id of the last entry, 1 if that entry is there, so that nothing behind it is missing, else 0}
local prefix = KEYS[1]
-- include: _tolerant
-- include: _changes
local changes, watched = prefix .. ':wm:changes', prefix .. ':wm:watched'
-- Nobody has watched, and nothing was written: the entry tells that to whoever comes across it.
if redis.call('EXISTS', watched) == 0 or redis.call('EXISTS', changes) == 0 then write_change('', 'begin', '1') end
redis.call('SET', watched, '1', 'EX', ARGV[1])
redis.call('EXPIRE', changes, ARGV[2])
local last = redis.call('XREVRANGE', changes, '+', '-', 'COUNT', 1)
local is_there = ARGV[3] ~= '' and #redis.call('XRANGE', changes, ARGV[3], ARGV[3]) or 0
return {last[1] and last[1][1] or '0-0', is_there}
