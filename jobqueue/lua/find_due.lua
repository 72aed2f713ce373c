-- Finds the queues that have scheduled jobs which are due.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2+] queues
-- Returns  those of these queues
-- Flags    no-writes
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _idle
local now, due = clock(ARGV[1]), {}
for _, queue in ipairs(queues_with({':scheduled:'}, 2)) do
  -- Something that is no registry is left to enqueue_due.lua, which tells of it.
  local count = redis.pcall('ZCOUNT', prefix .. ':scheduled:' .. queue, 0, now)
  if type(count) ~= 'number' or count > 0 then due[#due + 1] = queue end
end
return due
