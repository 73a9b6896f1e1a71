-- Return what is not finished, by route: queued, running, when the oldest was submitted.
local counts = {}
for _, route in ipairs(call('SMEMBERS', P .. 'routes')) do
  local queued = call('ZCARD', P .. 'waiting:' .. route)
  local running = call('SCARD', P .. 'running:' .. route)
  if queued + running == 0 then
    call('SREM', P .. 'routes', route)
  else
    local oldest = call('ZRANGE', P .. 'waiting:' .. route, 0, 0)[1]
    local since = oldest and of_job(oldest, 'submitted')[1]
    if not tonumber(since or '') then since = false end
    counts[#counts + 1] = {route, queued, running, since}
  end
end
return counts
