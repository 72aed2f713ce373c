-- Writes down what the acting manager is about to do, before it is done: whoever acts next counts it too.
-- KEYS[1]  the shard's prefix
-- ARGV     now, candidate, epoch of its lease, its decision as JSON, most decisions that are kept,
--          ids of the workers to launch
-- Returns  1, or 0 where somebody else has taken the lease: nothing is written, nothing may be done
local prefix = KEYS[1]
-- include: _clock
local now, scaler = clock(ARGV[1]), prefix .. ':wm:scaler:'
-- A removal as the first write: the fleet must go on where Redis is full.
redis.call('HDEL', scaler .. 'launches', '')
local held = redis.call('HMGET', scaler .. 'leader', 'candidate', 'epoch')
if held[1] ~= ARGV[2] or held[2] ~= ARGV[3] then return 0 end
redis.call('LPUSH', scaler .. 'decisions', ARGV[4])
redis.call('LTRIM', scaler .. 'decisions', 0, tonumber(ARGV[5]) - 1)
for i = 6, #ARGV do redis.call('HSET', scaler .. 'launches', ARGV[i], math.floor(now)) end
return 1
