-- queues_with(kinds, first): those of the queues ARGV[first], … that may have a key of one of these kinds (':queue:', …).
-- Most of a thousand queues are idle at a time, so one EXISTS asks for 16 of them.
local SPAN = 16
local function queues_with(kinds, first)
  local found = {}
  for from = first, #ARGV, SPAN do
    local last, keys = math.min(from + SPAN - 1, #ARGV), {}
    for i = from, last do
      for _, kind in ipairs(kinds) do keys[#keys + 1] = prefix .. kind .. ARGV[i] end
    end
    if redis.call('EXISTS', unpack(keys)) > 0 then
      for i = from, last do found[#found + 1] = ARGV[i] end
    end
  end
  return found
end
