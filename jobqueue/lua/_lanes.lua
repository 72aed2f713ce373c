-- Entries that wait to be sent stand in a lane for each host, so that one that is down delays no other. The hosts stand
-- in a sorted set by the time at which something can be done for them.
local OUTBOX = prefix .. ':wm:callbacks'
-- After so many failures in a row, a host gets one attempt at a time, after a pause.
local FAILURES_UNTIL_PAUSE = 5

-- entry_of(callback_id): key of an entry.
-- lane_of(host): the entries that wait for it, by the time at which they are due, or at which their lease ends.
-- sending_to(host): those that are leased.
-- state_of(host): its failures.
local function entry_of(callback_id) return prefix .. ':wm:callback:' .. callback_id end
local function lane_of(host) return OUTBOX .. ':lane:' .. host end
local function sending_to(host) return OUTBOX .. ':sending:' .. host end
local function state_of(host) return OUTBOX .. ':host:' .. host end

-- is_fetched(host): whether a listener fetches the entries itself. They are never due for managers.
local function is_fetched(host) return string.sub(host, 1, 7) == 'listen/' end

-- host_state(host): its failures in a row, and until when it is paused (0 if it is not).
local function host_state(host)
  local fields = redis.call('HMGET', state_of(host), 'failures', 'paused_until')
  return number(fields[1], 0, 0, 1e9), number(fields[2], 0, 0, 2^40)
end

-- schedule_host(host, now, is_full): notes when something can be done for a host. A host that is full, because as many
-- entries are being sent to it as may be, waits for the first of these.
local function schedule_host(host, now, is_full)
  if is_fetched(host) then return end
  local first = redis.call('ZRANGE', lane_of(host), 0, 0, 'WITHSCORES')
  if not first[2] then return redis.call('ZREM', OUTBOX .. ':hosts', host) end
  local _, paused_until = host_state(host)
  local due = math.max(tonumber(first[2]), paused_until)
  if is_full then
    local ends = redis.call('ZRANGE', sending_to(host), 0, 0, 'WITHSCORES')
    due = math.max(due, tonumber(ends[2] or now))
  end
  redis.call('ZADD', OUTBOX .. ':hosts', due, host)
end
