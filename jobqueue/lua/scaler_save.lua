-- Saves what the leading scaler has learned and done, unless another manager has taken the lease (a fenced write).
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  candidate, ARGV[3] the epoch of its lease
-- ARGV[4]  number of decisions to keep
-- ARGV[5]  seconds that terminated instances are remembered
-- ARGV[6+] for each item: kind | name | text
--          'instance' id JSON | 'terminated' id '' | 'completed_intent' token '' | 'decision' '' JSON
--          'caution' '' JSON | 'report' '' JSON | 'learned' '' JSON
-- Returns  1; 0 if another candidate holds the lease: nothing is written
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
local now, scaler = clock(ARGV[1]), prefix .. ':wm:scaler:'
-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('ZREMRANGEBYSCORE', scaler .. 'gone', '-inf', now - tonumber(ARGV[5]))
local held = redis.call('HMGET', scaler .. 'leader', 'candidate', 'epoch')
if held[1] ~= ARGV[2] or held[2] ~= ARGV[3] then return 0 end
for i = 6, #ARGV, 3 do
  local kind, name, text = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if kind == 'instance' then
    redis.call('HSET', scaler .. 'instances', name, text)
  elseif kind == 'terminated' then
    redis.call('HDEL', scaler .. 'instances', name)
    redis.call('ZADD', scaler .. 'gone', now, name)
  elseif kind == 'completed_intent' then
    redis.call('HDEL', scaler .. 'intents', name)
  elseif kind == 'decision' then
    redis.call('LPUSH', scaler .. 'decisions', text)
    redis.call('LTRIM', scaler .. 'decisions', 0, tonumber(ARGV[4]) - 1)
  else
    redis.call('SET', scaler .. kind, text)
  end
end
return 1
