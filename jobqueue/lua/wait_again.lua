-- Lets an ended job wait for others once more, as the `finally` job of a workflow that is retried.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  job
-- ARGV[3]  what it awaits of them: 'finished' or 'ended'
-- ARGV[4+] the jobs
-- Returns  1, or 0 if the job is not there or has not ended
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _changes
local now, id = clock(ARGV[1]), ARGV[2]
local key, parents = prefix .. ':job:' .. id, prefix .. ':wm:parents:' .. id
local ENDED = {finished = true, failed = true, stopped = true, canceled = true}
local status, queue = unpack(redis.call('HMGET', key, 'status', 'origin'))
if not ENDED[status] or not queue then return 0 end
for _, registry in ipairs({'finished', 'failed', 'canceled'}) do
  redis.call('ZREM', prefix .. ':' .. registry .. ':' .. queue, id)
end
redis.call('ZREM', prefix .. ':wm:feed', id)
redis.call('HDEL', key, 'wm_losses', 'wm_cancel', 'wm_reason', 'wm_note', 'wm_failed_parent', 'wm_lease', 'wm_in_lane',
  'ended_at', 'exc_info')
redis.call('HSET', key, 'status', 'deferred')
note_change(id, key, 'deferred')
redis.call('PERSIST', key)
redis.call('PERSIST', prefix .. ':results:' .. id)
redis.call('DEL', parents)
for i = 4, #ARGV do redis.call('HSET', parents, ARGV[i], ARGV[3]) end
redis.call('ZADD', prefix .. ':deferred:' .. queue, deferred_score(now), id)
redis.call('ZADD', prefix .. ':wm:registering', now, id)
return 1
