-- clock(given): seconds since the epoch, by Redis' own clock unless a test gives them.
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end
