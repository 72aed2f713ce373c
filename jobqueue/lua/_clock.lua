-- clock(given): the Unix time in seconds: Redis' own clock, or `given` unless it is '' (tests pass a time).
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end
