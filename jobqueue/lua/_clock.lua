-- clock(given): the Unix time in seconds: Redis' own clock, or `given` unless it is '' (tests pass a time).
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

-- Scores that lie so far ahead are no times that RQ's workers act on: they drop or fail entries whose score has passed.
local CENTURY_SECONDS = 3153600000

-- deferred_score(now): of a job in RQ's registry of deferred jobs. In the order of their arrival, jobs that arrive or
-- leave together stand together. With equal scores, random ids would order them, and each would cost Redis 2 us more.
local function deferred_score(now) return string.format('%.6f', CENTURY_SECONDS + now) end
