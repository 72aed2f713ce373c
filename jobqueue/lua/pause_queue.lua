-- Pauses a queue: workers of ours take no job of it, and its jobs keep their places. Or resumes it.
-- KEYS[1]  shard prefix
-- ARGV[1]  queue
-- ARGV[2]  since when it is paused, as RQ writes times; '' to resume it
-- ARGV[3]  author of the change, see _audit.lua
-- Returns  1
local prefix = KEYS[1]
-- include: _tolerant
-- include: _push
-- include: _audit
local queue, since = ARGV[1], ARGV[2]
-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('DEL', prefix .. ':wm:wake:' .. queue)
local was_paused = redis.call('HEXISTS', prefix .. ':wm:paused', queue) == 1
if was_paused ~= (since ~= '') then
  audit(ARGV[3], was_paused and 'queue_resumed' or 'queue_paused', queue,
    cjson.encode({paused = was_paused}), cjson.encode({paused = not was_paused}))
end
if since ~= '' then
  redis.call('ZREM', prefix .. ':wm:turns', prefix .. ':queue:' .. queue)
  local paused = prefix .. ':wm:paused'
  if not redis.call('HGET', paused, queue) then redis.call('HSET', paused, queue, since) end
else
  redis.call('HDEL', prefix .. ':wm:paused', queue)
  local length = redis.pcall('LLEN', prefix .. ':queue:' .. queue)
  local lanes = redis.call('ZCARD', prefix .. ':wm:ring:' .. queue)
  local jobs = (type(length) == 'number' and length or 0) + lanes
  if jobs > 0 then
    join_turns(queue)
    wake(queue, jobs)
  end
end
return 1
