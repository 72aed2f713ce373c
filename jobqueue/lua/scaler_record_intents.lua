-- Writes down launches before they are asked for: whoever acts next counts them too, and repeats them unchanged.
-- KEYS[1]  the shard's prefix
-- ARGV     now, candidate, epoch of its lease, most instances that may be, then token and intent (JSON with its `count`)
--          of each launch
-- Returns  1; 0 where somebody else has taken the lease; -1 where there would be more instances than may be: then
--          nothing is written, and nothing may be done
local prefix = KEYS[1]
-- include: _clock
local scaler = prefix .. ':wm:scaler:'
-- A removal as the first write: the fleet must go on where Redis is full.
redis.call('HDEL', scaler .. 'intents', '')
local held = redis.call('HMGET', scaler .. 'leader', 'candidate', 'epoch')
if held[1] ~= ARGV[2] or held[2] ~= ARGV[3] then return 0 end
local number = redis.call('HLEN', scaler .. 'instances')
for _, intent in ipairs(redis.call('HVALS', scaler .. 'intents')) do number = number + cjson.decode(intent).count end
for i = 5, #ARGV, 2 do number = number + cjson.decode(ARGV[i + 1]).count end
if number > tonumber(ARGV[4]) then return -1 end
for i = 5, #ARGV, 2 do redis.call('HSET', scaler .. 'intents', ARGV[i], ARGV[i + 1]) end
return 1
