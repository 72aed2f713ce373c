-- Lets parents know of jobs that wait for them, and tells what the parents are.
-- KEYS[1]  shard prefix of the parents
-- ARGV[1+] for each edge: parent | child | shard prefix of the child
-- Returns  for each edge the parent's status; 'deleted' if there is no such job
-- Flags    none: refused while Redis' memory is full
local prefix = KEYS[1]
-- include: _tolerant
local FAILED = {failed = true, stopped = true, canceled = true}
local answers = {}
for i = 1, #ARGV, 3 do
  local parent, child, child_prefix = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local key = prefix .. ':job:' .. parent
  local status, at_end = unpack(call_own('HMGET', key, 'status', 'wm_at_end') or {})
  if status and status ~= 'finished' then
    local children = prefix .. (FAILED[status] and ':wm:canceled-children:' or ':wm:children:') .. parent
    redis.call('HSET', children, child, child_prefix)
    if not at_end then
      redis.call('HSET', key, 'wm_at_end', 'd')
    elseif not string.find(at_end, 'd', 1, true) then
      redis.call('HSET', key, 'wm_at_end', at_end .. 'd')
    end
    -- One that has failed can be requeued for as long as it has a record.
    local ttl = FAILED[status] and redis.call('PTTL', key) or -1
    if ttl > 0 then redis.call('PEXPIRE', children, ttl) end
  end
  answers[#answers + 1] = status or 'deleted'
end
return answers
