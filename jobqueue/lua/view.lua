-- Reads jobs for people: a bounded part of each record. Writes nothing.
-- KEYS[1]  shard prefix
-- ARGV[1]  maximum bytes of the field `meta`; a longer one is left out
-- ARGV[2]  maximum bytes of the field `data`; a longer one is left out
-- ARGV[3]  '1' reads `data` of every job, '0' only of those of plain RQ clients, where it names the function
-- ARGV[4]  maximum bytes of the last result, as it lies in memory; a larger one is left out
-- ARGV[5]  the answer ends after the job with which it reaches this many bytes
-- ARGV[6]  number of other fields; then their names; then the ids of the jobs
-- Returns  for each job, until the answer ends: '' if its key is no hash, else {values of the fields, data, meta,
--          bytes of `data`, bytes of `meta`, when it is due ('' if it is not scheduled), last result as a flat list of
--          names and values, bytes of a result that was left out}
-- Flags    no-writes
local prefix = KEYS[1]
local max_meta, max_data, all_data, max_result = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4])
local max_bytes, names = tonumber(ARGV[5]), {}
for i = 7, 6 + math.min(tonumber(ARGV[6]), #ARGV) do names[#names + 1] = ARGV[i] end
local STATUS, ORIGIN, FEED = 1, 2, 3 -- The first names.
local MAX_FIELD_BYTES = 65536
-- A literal here would look like the name of a key.
local USAGE = 'USAGE'
local WITH_RESULT = {finished = true, failed = true, stopped = true}

-- Returns a reply of redis.pcall, or nil if the key has another type: reading mends nothing.
local function unless_wrong_type(reply)
  if type(reply) ~= 'table' or not reply.err then return reply end
  if string.sub(reply.err, 1, 9) ~= 'WRONGTYPE' then error(reply) end
  return nil
end

local function field(key, name, length, most)
  if length == 0 or length > most then return '' end
  return redis.call('HGET', key, name) or ''
end

-- Returns the last entry, or how many bytes it has if that is too many.
local function last_result(id)
  local key = prefix .. ':results:' .. id
  local bytes = redis.call('MEMORY', USAGE, key) or 0
  if bytes > max_result then return {}, bytes end
  local entries = unless_wrong_type(redis.pcall('XREVRANGE', key, '+', '-', 'COUNT', 1))
  return entries and entries[1] and entries[1][2] or {}, 0
end

local jobs, bytes = {}, 0
for i = 7 + #names, #ARGV do
  local id = ARGV[i]
  local key = prefix .. ':job:' .. id
  local values = unless_wrong_type(redis.pcall('HMGET', key, unpack(names)))
  if not values then
    jobs[#jobs + 1] = ''
  else
    for n = 1, #names do
      if values[n] then
        values[n] = string.sub(values[n], 1, MAX_FIELD_BYTES)
        bytes = bytes + #values[n]
      end
    end
    local data_length, meta_length = redis.call('HSTRLEN', key, 'data'), redis.call('HSTRLEN', key, 'meta')
    local data = (all_data or not values[FEED]) and field(key, 'data', data_length, max_data) or ''
    local meta = field(key, 'meta', meta_length, max_meta)
    local due, result, left_out = '', {}, 0
    if values[STATUS] == 'scheduled' then
      due = unless_wrong_type(redis.pcall('ZSCORE', prefix .. ':scheduled:' .. (values[ORIGIN] or ''), id)) or ''
    elseif WITH_RESULT[values[STATUS]] then
      result, left_out = last_result(id)
    end
    for n = 2, #result, 2 do bytes = bytes + #result[n] end
    bytes = bytes + #data + #meta
    jobs[#jobs + 1] = {values, data, meta, data_length, meta_length, due, result, left_out}
  end
  if bytes >= max_bytes then break end
end
return jobs
