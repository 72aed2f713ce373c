-- Finding jobs by their labels. Needs _tolerant.

-- The newest jobs of a label are kept. The member '' stands for those that were not: its score is that of the newest.
local MAX_LABELED, CHECK_LABEL_SECONDS = 10000, 86400

-- By label, scores and ids of the jobs of this call. They keep their order: each counts as submitted a microsecond after
-- the one before.
local labeled, labeled_count = {}, 0

-- note_labels(id, labels, now): lets a job be found by its labels, {name = value}, once add_labels has been called.
local function note_labels(id, labels, now)
  local score = string.format('%.6f', now + labeled_count / 1e6)
  labeled_count = labeled_count + 1
  for name, value in pairs(labels) do
    local label = name .. ':' .. value
    local entries = labeled[label]
    if not entries then
      entries = {}
      labeled[label] = entries
    end
    entries[#entries + 1] = score
    entries[#entries + 1] = id
  end
end

-- add_labels(now): adds what note_labels has noted.
local function add_labels(now)
  for label, entries in pairs(labeled) do
    local key = prefix .. ':wm:label:' .. label
    for first = 1, #entries, 2000 do
      redis.call('ZADD', key, unpack(entries, first, math.min(first + 1999, #entries)))
    end
    local excess = redis.call('ZCARD', key) - MAX_LABELED
    if excess > 0 then
      local dropped = redis.call('ZPOPMIN', key, excess + 1)
      redis.call('ZADD', key, dropped[#dropped], '')
    end
    redis.call('ZADD', prefix .. ':wm:labels', 'NX', math.floor(now) + CHECK_LABEL_SECONDS, label)
  end
end
