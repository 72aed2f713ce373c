-- Finding jobs by their labels. Needs _tolerant.

-- The newest jobs of a label are kept. The member '' stands for those that were not: its score is that of the newest.
local MAX_LABELED, CHECK_LABEL_SECONDS = 10000, 86400

-- Jobs of one call keep their order: each counts as submitted a microsecond after the one before.
local labeled = 0

-- add_labels(id, labels, now): lets a job be found by its labels, {name = value}.
local function add_labels(id, labels, now)
  local score = string.format('%.6f', now + labeled / 1e6)
  labeled = labeled + 1
  for name, value in pairs(labels) do
    local label = name .. ':' .. value
    local key = prefix .. ':wm:label:' .. label
    redis.call('ZADD', key, score, id)
    local excess = redis.call('ZCARD', key) - MAX_LABELED
    if excess > 0 then
      local dropped = redis.call('ZPOPMIN', key, excess + 1)
      redis.call('ZADD', key, dropped[#dropped], '')
    end
    redis.call('ZADD', prefix .. ':wm:labels', 'NX', math.floor(now) + CHECK_LABEL_SECONDS, label)
  end
end
