-- Tells which of many jobs have ended, for those who wait for them. Writes nothing.
-- KEYS[1]  shard prefix
-- ARGV[1+] ids of jobs
-- Returns  the positions in ARGV of jobs that have ended or do not exist
-- Flags    no-writes
local prefix = KEYS[1]
-- include: _tolerant
local GOES_ON = {queued = true, scheduled = true, deferred = true, started = true, created = true, rate_limited = true,
  ready_to_enqueue = true}
local ended = {}
for i = 1, #ARGV do
  local status = call_own('HGET', prefix .. ':job:' .. ARGV[i], 'status')
  if not (status and GOES_ON[status]) then ended[#ended + 1] = i end
end
return ended
