-- Tells children what became of their parents: those on the parent's own shard here; the others are returned, to be told
-- with settle_parents.lua and then named in the next call.
-- KEYS[1]  shard prefix of the parents
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  now as RQ writes it
-- ARGV[3]  ttl of a canceled job, seconds
-- ARGV[4]  maximum number of children
-- ARGV[5+] for each parent: id | what the children named here were told ('' for none) | number of such children | their
--          ids
-- Returns  for each parent: {id, what to tell ('' if all have been told), child and shard prefix of each to be told}
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
-- include: _push
-- include: _outcomes
-- include: _edges
local now, iso, ttl, left = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local SETTLE = prefix .. ':wm:settle'
-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('ZREM', prefix .. ':wm:leases', '')

-- note_told(parent, news, child, child_prefix): a child that will not run stays known, in case the parent returns.
local function note_told(parent, news, child, child_prefix)
  local waiting, canceled = prefix .. ':wm:children:' .. parent, prefix .. ':wm:canceled-children:' .. parent
  if news == 'requeued' then
    redis.call('HDEL', canceled, child)
    redis.call('HSET', waiting, child, child_prefix)
  else
    redis.call('HDEL', waiting, child)
    if news ~= 'finished' and news ~= 'deleted' then
      redis.call('HSET', canceled, child, child_prefix)
      redis.call('EXPIRE', canceled, ttl)
    end
  end
end

-- next_news(parent): what to tell which of its children next; nil if there is nothing to tell.
local function next_news(parent)
  local ending = redis.call('HGET', SETTLE, parent)
  if not ending then return nil end
  local canceled, waiting = prefix .. ':wm:canceled-children:' .. parent, prefix .. ':wm:children:' .. parent
  -- It has been requeued and may have finished since: those that it had canceled return first.
  if (ending == 'requeued' or ending == 'finished') and redis.call('HLEN', canceled) > 0 then return 'requeued', canceled end
  if ending ~= 'requeued' and redis.call('HLEN', waiting) > 0 then return ending, waiting end
  redis.call('HDEL', SETTLE, parent)
  if ending == 'deleted' then redis.call('DEL', canceled) end
  return nil
end

local answers, at = {}, 5
while at <= #ARGV do
  local parent, told, count = ARGV[at], ARGV[at + 1], math.max(0, tonumber(ARGV[at + 2]))
  for i = at + 3, at + 2 + count do
    local source = prefix .. (told == 'requeued' and ':wm:canceled-children:' or ':wm:children:') .. parent
    local child_prefix = redis.call('HGET', source, ARGV[i])
    if child_prefix then note_told(parent, told, ARGV[i], child_prefix) end
  end
  local news, source = next_news(parent)
  local elsewhere = {}
  while news and left > 0 and #elsewhere == 0 do
    local page = redis.call('HRANDFIELD', source, left, 'WITHVALUES')
    for i = 1, #page, 2 do
      local child, child_prefix = page[i], page[i + 1]
      if child_prefix == prefix then
        settle_edge(child, parent, news, ttl, now, iso)
        note_told(parent, news, child, child_prefix)
      else
        elsewhere[#elsewhere + 1] = child
        elsewhere[#elsewhere + 1] = child_prefix
      end
    end
    left = left - #page / 2
    if #elsewhere == 0 then news, source = next_news(parent) end
  end
  answers[#answers + 1] = {parent, news or '', elsewhere}
  at = at + 3 + count
end
return answers
