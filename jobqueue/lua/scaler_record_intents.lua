-- Records launches before the cloud is asked for them (a write-ahead log): the next leader counts them and repeats them
-- unchanged.
-- KEYS[1]  shard prefix
-- ARGV[1]  now ('' for Redis' clock)
-- ARGV[2]  candidate, ARGV[3] the epoch of its lease
-- ARGV[4]  maximum number of instances
-- ARGV[5+] for each launch: token | intent (JSON with its `count`)
-- Returns  1; 0 if another candidate holds the lease; -1 if there would be too many instances. Unless it is 1, nothing
--          is written, and nothing may be launched
local prefix = KEYS[1]
-- include: _tolerant
-- include: _clock
local scaler = prefix .. ':wm:scaler:'

-- An intent that cannot be read counts as none: the leader cannot repeat it either.
local function count_of(intent)
  local decoded, value = pcall(cjson.decode, intent)
  if not decoded or type(value) ~= 'table' or type(value.count) ~= 'number' then return 0 end
  return number(value.count, 0, 0, 1e6)
end

-- The first write must be a removal, so that the script also runs when Redis' memory is full.
redis.call('HDEL', scaler .. 'intents', '')
local held = redis.call('HMGET', scaler .. 'leader', 'candidate', 'epoch')
if held[1] ~= ARGV[2] or held[2] ~= ARGV[3] then return 0 end
local total = redis.call('HLEN', scaler .. 'instances')
for _, intent in ipairs(redis.call('HVALS', scaler .. 'intents')) do total = total + count_of(intent) end
for i = 5, #ARGV, 2 do total = total + count_of(ARGV[i + 1]) end
if total > tonumber(ARGV[4]) then return -1 end
for i = 5, #ARGV, 2 do redis.call('HSET', scaler .. 'intents', ARGV[i], ARGV[i + 1]) end
return 1
