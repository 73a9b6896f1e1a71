-- Take jobs that are due, for each room (route, concurrency, wanted) the highest priority's oldest first.  Of one
-- that is lost only the id is returned.
local runner, epoch = ARGV[2], ARGV[3]
if is_stale(runner, epoch) then return redis.error_reply('STALE the connection was given up') end

local claims = {}
for at = 4, #ARGV, 3 do
  local route = ARGV[at]
  if call('EXISTS', P .. 'waiting:' .. route) == 1 then
    promote(route)
    local free = math.min(tonumber(ARGV[at + 2]), tonumber(ARGV[at + 1]) - call('SCARD', P .. 'running:' .. route))
    while free > 0 do
      local id = first_ready(route)
      if not id then break end
      local job = load(id)
      if job then
        dequeue(job)
        local fence = begin(job, runner)
        changed(job)
        claims[#claims + 1] = {fence, call('HGET', job.key, 'request'), view(id)}
        free = free - 1
      else
        dequeue_lost(id)
        -- also where it was in no other queue
        if first_ready(route) == id then call('ZPOPMIN', P .. 'ready:' .. route) end
        claims[#claims + 1] = {id}
      end
    end
  end
end
return claims
