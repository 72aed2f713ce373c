-- Ends a hold of workers (hold_workers.lua) before its time.
-- KEYS[1]  shard prefix
-- ARGV[1]  token of the hold
-- ARGV[2+] workers
-- Returns  1
local prefix = KEYS[1]
-- include: _tolerant
for i = 2, #ARGV do
  local hold = prefix .. ':wm:closed:' .. ARGV[i]
  if redis.pcall('GET', hold) == ARGV[1] then redis.call('DEL', hold) end
end
return 1
