-- Tells children what became of their parents; once a child is registered with all parents, and none is open, queues it.
-- KEYS[1]  shard prefix of the children
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  now as RQ writes it
-- ARGV[3]  ttl of a canceled job, seconds
-- ARGV[4+] for each child: id | '1' if its parents know of it now | number of parents, then for each: id
--          | its status, 'deleted' or 'requeued'
-- Returns  the status of each child; '' if there is no such job
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _push
-- include: _outcomes
-- include: _edges
local now, iso, ttl, answers = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), {}
-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('ZREM', prefix .. ':wm:leases', '')
local at = 4
while at <= #ARGV do
  local child, is_registered, count = ARGV[at], ARGV[at + 1] == '1', math.max(0, tonumber(ARGV[at + 2]))
  local key, open = prefix .. ':job:' .. child, prefix .. ':wm:parents:' .. child
  for i = at + 3, at + 2 + count * 2, 2 do settle_edge(child, ARGV[i], ARGV[i + 1], ttl, now, iso) end
  local status, queue, at_front, workflow = unpack(redis.call('HMGET', key, 'status', 'origin', 'enqueue_at_front',
    'wm_workflow'))
  -- No job of a workflow runs before all of them are written.
  local state = workflow and redis.call('HGET', prefix .. ':wm:workflow:' .. workflow, 'state')
  if state == 'writing' or state == 'abandoned' then is_registered = false end
  local was_registering = is_registered and redis.call('ZREM', REGISTERING, child) == 1
  if was_registering and status == 'deferred' and redis.call('EXISTS', open) == 0 then
    release_child(child, key, queue or '', at_front == '1', iso)
    status = redis.call('HGET', key, 'status')
  end
  answers[#answers + 1] = status or ''
  at = at + 3 + count * 2
end
return answers
