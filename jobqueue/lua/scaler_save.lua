-- Writes down what the acting manager has found out.
-- KEYS[1]  the shard's prefix
-- ARGV     now, candidate, epoch of its lease, most decisions that are kept, seconds that gone instances are remembered,
--          then what is written, each: what | name | text
--          'instance' id JSON | 'gone' id '' | 'settled' token '' | 'decision' '' JSON
--          'caution' '' JSON | 'report' '' JSON | 'learned' '' JSON
-- Returns  1, or 0 where somebody else has taken the lease: nothing is written
local prefix = KEYS[1]
-- include: _clock
local now, scaler = clock(ARGV[1]), prefix .. ':wm:scaler:'
-- A removal as the first write: the fleet must go on where Redis is full.
redis.call('ZREMRANGEBYSCORE', scaler .. 'gone', '-inf', now - tonumber(ARGV[5]))
local held = redis.call('HMGET', scaler .. 'leader', 'candidate', 'epoch')
if held[1] ~= ARGV[2] or held[2] ~= ARGV[3] then return 0 end
for i = 6, #ARGV, 3 do
  local what, name, text = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if what == 'instance' then
    redis.call('HSET', scaler .. 'instances', name, text)
  elseif what == 'gone' then
    redis.call('HDEL', scaler .. 'instances', name)
    redis.call('ZADD', scaler .. 'gone', now, name)
  elseif what == 'settled' then
    redis.call('HDEL', scaler .. 'intents', name)
  elseif what == 'decision' then
    redis.call('LPUSH', scaler .. 'decisions', text)
    redis.call('LTRIM', scaler .. 'decisions', 0, tonumber(ARGV[4]) - 1)
  else
    redis.call('SET', scaler .. what, text)
  end
end
return 1
