-- Return what is not finished, by route: queued, running, when the oldest was submitted.
local counts = {}
for _, route in ipairs(call('SMEMBERS', P .. 'routes')) do
  local queued = call('ZCARD', P .. 'waiting:' .. route)
  local running = call('SCARD', P .. 'running:' .. route)
  if queued + running == 0 then
    call('SREM', P .. 'routes', route)
  else
    local oldest = call('ZRANGE', P .. 'waiting:' .. route, 0, 0)[1]
    counts[#counts + 1] = {route, queued, running, oldest and call('HGET', P .. 'job:' .. oldest, 'submitted') or false}
  end
end
return counts
