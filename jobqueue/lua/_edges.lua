-- Dependencies between jobs (docs/decisions/0026): a child waits for its parents, which may lie on other shards.
--   <prefix>:wm:parents:<child>    hash on the child's shard: its open parents, each with 'finished' or 'ended', which
--                                  says what of it is awaited
--   <prefix>:wm:children:<parent>  hash on the parent's shard: who waits for it, each with the prefix of its shard
--   <prefix>:wm:canceled-children:<parent>
--                                  hash: who was told that it will not finish, and returns with it if it is requeued
--   <prefix>:wm:registering        sorted set: children that some parent may not know of yet; score: since when
--   <prefix>:wm:settle             hash: parents whose end (or return) their children have not been told yet
-- Needs _push and _outcomes.
-- include: _limits
local REGISTERING = prefix .. ':wm:registering'
local ENDED = {finished = true, failed = true, stopped = true, canceled = true, deleted = true}

-- release_child(id, key, queue, at_front, iso): all of its parents have ended as it needs.
local function release_child(id, key, queue, at_front, iso)
  redis.call('ZREM', prefix .. ':deferred:' .. queue, id)
  queue_job(id, key, queue, at_front, iso)
end

-- cancel_child(id, key, queue, parent, ending, ttl, now, iso): it needs a parent to finish that will not.
local function cancel_child(id, key, queue, parent, ending, ttl, now, iso)
  redis.call('ZREM', prefix .. ':deferred:' .. queue, id)
  redis.call('HSET', key, 'wm_reason', 'dependency_failed', 'wm_failed_parent', parent, 'wm_note',
    ending == 'deleted' and 'it waited for job ' .. parent .. ', which does not exist any more'
      or 'it waited for job ' .. parent .. ' to finish, which is ' .. ending)
  record_cancellation(id, key, queue, ttl, now, iso)
  redis.call('EXPIRE', prefix .. ':wm:parents:' .. id, ttl)
end

-- revive_child(id, key, queue): the parent whose end canceled it runs again. It waits again, and is registered again:
-- other parents may have ended meanwhile.
local function revive_child(id, key, queue, now)
  redis.call('ZREM', prefix .. ':canceled:' .. queue, id)
  redis.call('HDEL', key, 'wm_reason', 'wm_failed_parent', 'wm_note', 'wm_in_lane', 'ended_at')
  redis.call('HSET', key, 'status', 'deferred')
  note_change(id, key, 'deferred')
  redis.call('PERSIST', key)
  redis.call('PERSIST', prefix .. ':wm:parents:' .. id)
  redis.call('ZADD', prefix .. ':deferred:' .. queue, deferred_score(now), id)
  redis.call('ZADD', REGISTERING, now, id)
  local at_end = redis.call('HGET', key, 'wm_at_end')
  if at_end and string.find(at_end, 'd', 1, true) then redis.call('HSET', prefix .. ':wm:settle', id, 'requeued') end
end

-- settle_edge(child, parent, ending, ttl, now, iso): tells a child of this shard what became of a parent: its status,
-- 'deleted', or 'requeued'. Nothing changes if it has been told before.
local function settle_edge(child, parent, ending, ttl, now, iso)
  local open, key = prefix .. ':wm:parents:' .. child, prefix .. ':job:' .. child
  local awaited = call_own('HGET', open, parent)
  local status, queue, at_front, failed_parent = unpack(call_own('HMGET', key, 'status', 'origin', 'enqueue_at_front',
    'wm_failed_parent') or {})
  if not awaited or not status then return end
  if ending == 'requeued' then
    if status == 'canceled' and failed_parent == parent then revive_child(child, key, queue or '', now) end
  elseif ending == 'finished' or (awaited == 'ended' and ENDED[ending]) then
    redis.call('HDEL', open, parent)
    if status == 'deferred' and redis.call('EXISTS', open) == 0 and not redis.call('ZSCORE', REGISTERING, child) then
      release_child(child, key, queue or '', at_front == '1', iso)
    end
  elseif status == 'deferred' and ENDED[ending] then
    cancel_child(child, key, queue or '', parent, ending, ttl, now, iso)
  end
end
