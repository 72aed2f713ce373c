-- Sets what an operator overrides of the scaler's settings, or restores the managers' settings.
-- KEYS[1]  shard prefix
-- ARGV[1]  author of the change, see _audit.lua; ARGV[2] what it is called
-- ARGV[3+] for each override: name | value ('' restores the setting)
-- Returns  1
local prefix = KEYS[1]
-- include: _tolerant
-- include: _audit
local orders, before, after, is_changed = prefix .. ':wm:scaler:orders', {}, {}, false

local function shown(name, value)
  if name == 'paused' then return value == '1' end
  return number(value, cjson.null, -1e15, 1e15)
end

for i = 3, #ARGV, 2 do
  local name, value = ARGV[i], ARGV[i + 1]
  local stored = redis.call('HGET', orders, name) or ''
  before[name], after[name] = shown(name, stored), shown(name, value)
  is_changed = is_changed or before[name] ~= after[name]
  -- The first write must be a removal, so that the script also runs when Redis' memory is full.
  redis.call('HDEL', orders, name)
  if value ~= '' then redis.call('HSET', orders, name, value) end
end
if is_changed then audit(ARGV[1], ARGV[2], '', cjson.encode(before), cjson.encode(after)) end
return 1
