-- Rate limits of plain RQ jobs (rq.rate_limit). A key has so many places for jobs that are queued or run, of all queues:
-- <prefix>:rl:<key>:allowed holds their ids. Other jobs of the key wait in <prefix>:rl:<key>:rate_limited. Needs _push.
-- include: _changes

-- fill_places(limit_key, now, iso): queues jobs that wait while there are free places, the oldest first.
local function fill_places(limit_key, now, iso)
  local limit = prefix .. ':rl:' .. limit_key
  local concurrency = number(redis.call('HGET', limit, 'concurrency'), 0, 0, 1e9)
  while redis.call('ZCARD', limit .. ':allowed') < concurrency do
    local id = redis.call('ZPOPMIN', limit .. ':rate_limited')[1]
    if not id then return end
    local key = prefix .. ':job:' .. id
    local fields = redis.call('HMGET', key, 'origin', 'status', 'enqueue_at_front')
    -- An entry whose job is gone, or does not wait any more, is dropped.
    if fields[1] and fields[2] == 'rate_limited' then
      redis.call('ZADD', limit .. ':allowed', math.floor(now), id)
      redis.call('HSET', key, 'status', 'queued', 'enqueued_at', iso)
      note_change(id, key, 'queued')
      push(fields[1], {id}, fields[3] == '1')
    end
  end
end

-- give_back_place(id, limit_key, now, iso): gives back the place of a job that has ended, or that waited for one.
-- `limit_key` is its field `rate_limit_key`; nothing happens for a job without it.
local function give_back_place(id, limit_key, now, iso)
  if not limit_key or limit_key == '' then return end
  local limit = prefix .. ':rl:' .. limit_key
  redis.call('ZREM', limit .. ':rate_limited', id)
  redis.call('ZREM', limit .. ':allowed', id)
  fill_places(limit_key, now, iso)
end

-- wait_for_place(id, key, limit_key, now, iso): lets a job wait until it gets a place, and is then queued.
local function wait_for_place(id, key, limit_key, now, iso)
  local limit = prefix .. ':rl:' .. limit_key
  local concurrency = tonumber(redis.call('HGET', key, 'rate_limit_concurrency') or nil)
  redis.call('SADD', prefix .. ':rl-keys', limit_key)
  if concurrency then redis.call('HSET', limit, 'concurrency', concurrency) end
  redis.call('HSET', key, 'status', 'rate_limited')
  note_change(id, key, 'rate_limited')
  redis.call('ZADD', limit .. ':rate_limited', now, id)
  fill_places(limit_key, now, iso)
end
