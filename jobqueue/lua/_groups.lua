-- leave_group(id, group): takes a deleted job out of its group (rq.group.Group); `group` is its field `group_id`.
local function leave_group(id, group)
  if group and group ~= '' then redis.call('SREM', prefix .. ':group:' .. group, id) end
end
