-- Access to what other programs may have written: one key or field that cannot be read must not keep a script from
-- serving the rest, nor end it between two writes that belong together.
local raw_call, raw_pcall = redis.call, redis.pcall
local MAX_TTL_SECONDS, ASIDE_TTL_SECONDS = 3153600000, 604800

-- failed_with(reply, code): whether a reply of redis.pcall is an error, and begins with this code if one is given.
local function failed_with(reply, code)
  if type(reply) ~= 'table' or not reply.err then return false end
  return not code or string.sub(reply.err, 1, #code) == code
end

-- call_own(command, key, ...): as redis.call, on a key of one record. Returns nil if the key has another type.
local function call_own(command, key, ...)
  local reply = raw_pcall(command, key, ...)
  if not failed_with(reply) then return reply end
  if not failed_with(reply, 'WRONGTYPE') then error(reply) end
  return nil
end

-- mend(reply, command, key, ...): repeats a command that has failed on what its key holds. A key of another type, in
-- which nothing can be found, is set aside first: renamed to <prefix>:wm:aside:<rest of its name>. A counter that is no
-- number any more starts again.
local function mend(reply, command, key, ...)
  if failed_with(reply, 'WRONGTYPE') then
    local aside = prefix .. ':wm:aside' .. string.sub(key, #prefix + 1)
    raw_call('RENAME', key, aside)
    raw_call('EXPIRE', aside, ASIDE_TTL_SECONDS)
    return raw_call(command, key, ...)
  end
  if failed_with(reply, 'ERR') and (command == 'HINCRBY' or command == 'HINCRBYFLOAT') then
    return raw_call('HSET', key, ...)
  end
  error(reply)
end

-- call_shared(...): what redis.call means from here on: a command on one key at most, mended if it must be.
local function call_shared(...)
  local reply = raw_pcall(...)
  if failed_with(reply) then return mend(reply, ...) end
  return reply
end

local redis = {call = call_shared, pcall = raw_pcall}

-- number(text, default, lowest, highest): the number that a field holds, moved within these bounds; `default` if it
-- holds none. (Lua's own tonumber accepts 'nan' and 'inf', which Redis' commands refuse.)
local function number(text, default, lowest, highest)
  local value = tonumber(text or nil)
  if not value or value ~= value then return default end
  return math.max(lowest, math.min(highest, value))
end

-- ttl_of(text, default): the seconds that a field or argument sets as a time to live; -1 is forever.
local function ttl_of(text, default)
  return math.floor(number(text, tonumber(default), -1, MAX_TTL_SECONDS))
end
