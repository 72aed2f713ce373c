-- Counts the jobs of queues. A key that holds something else counts as empty.
-- KEYS[1]  shard prefix
-- ARGV[1+] queues
-- Returns  for each queue, one after the other: queued | when the next one was enqueued ('' if that is unknown)
--          | '1' if it has lanes, else '0' | scheduled | deferred | started | finished | failed | canceled
--          | ready to enqueue
-- Flags    no-writes
local prefix = KEYS[1]
-- include: _tolerant
local REGISTRIES = {':scheduled:', ':deferred:', ':wip:', ':finished:', ':failed:', ':canceled:', ':ready:'}
local answer = {}
for i = 1, #ARGV do
  local queue = ARGV[i]
  local list = prefix .. ':queue:' .. queue
  local queued, since = call_own('LLEN', list) or 0, nil
  if queued > 0 then since = call_own('HGET', prefix .. ':job:' .. call_own('LINDEX', list, 0), 'enqueued_at') end
  local at = #answer
  answer[at + 1], answer[at + 2] = queued, since or ''
  answer[at + 3] = raw_call('EXISTS', prefix .. ':wm:ring:' .. queue)
  for n, registry in ipairs(REGISTRIES) do answer[at + 3 + n] = call_own('ZCARD', prefix .. registry .. queue) or 0 end
end
return answer
