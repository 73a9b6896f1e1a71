-- Say which routes a runner has, and end queued jobs of those that nobody has.
local runner = ARGV[2]
local mine = P .. 'serves:' .. runner
insist()
call('DEL', mine)
for at = 3, #ARGV do call('SADD', mine, ARGV[at]) end
if not beat() then return {0, {}} end
for _, other in ipairs(call('ZRANGEBYSCORE', P .. 'servers', '-inf', now, 'LIMIT', 0, BATCH)) do
  call('DEL', P .. 'serves:' .. other)
  call('ZREM', P .. 'servers', other)
end

-- Who has just left may be about to come back: what he had counts for as long as a lease.
local served = {mine}
for _, other in ipairs(call('ZRANGE', P .. 'servers', 0, -1)) do
  served[#served + 1] = P .. 'serves:' .. other
end
local ended = {}
for _, route in ipairs(call('SDIFF', P .. 'routes', unpack(served))) do
  for _, id in ipairs(call('ZRANGE', P .. 'waiting:' .. route, 0, BATCH - #ended - 1)) do
    local job = load(id)
    if job then
      dequeue(job)
      conclude(job, 'failed', 'route-gone')
      ended[#ended + 1] = {id, job.route}
    else
      dequeue_lost(id)
    end
  end
  if #ended == BATCH then return {1, ended} end
end
return {0, ended}
