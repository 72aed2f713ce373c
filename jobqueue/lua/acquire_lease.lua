-- Acquires, renews or releases the lease of a duty that one manager has at a time.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  candidate, ARGV[3] its address
-- ARGV[4]  lease seconds; '0' releases the lease
-- ARGV[5]  the duty: 'scaler:leader' | 'reporter'
-- Returns  {1 if the candidate holds the lease, else 0; epoch; address of the holder}. The epoch is a fencing token: it
--          grows by one whenever the lease changes hands
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
local now, candidate, lease = clock(ARGV[1]), ARGV[2], tonumber(ARGV[4])
local key = prefix .. ':wm:' .. ARGV[5]
-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('HDEL', key, '')
local held = redis.call('HMGET', key, 'candidate', 'until', 'epoch', 'address')
local epoch = math.floor(number(held[3], 0, 0, 2^53))
local ends_at = number(held[2], 0, 0, 2^53)
-- No lease lasts for a minute: an end that lies further ahead is a mistake.
local free = not held[1] or ends_at <= now or ends_at > now + 60
if lease == 0 then
  if held[1] == candidate then redis.call('HSET', key, 'until', 0) end
  return {0, epoch, ''}
end
if not free and held[1] ~= candidate then return {0, epoch, held[4] or ''} end
if held[1] ~= candidate or free then epoch = epoch + 1 end
redis.call('HSET', key, 'candidate', candidate, 'address', ARGV[3], 'until', now + lease, 'epoch', epoch)
return {1, epoch, ARGV[3]}
