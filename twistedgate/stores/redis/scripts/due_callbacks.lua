-- Take callbacks that are due, for a minute each: tries before this one, its number, the job.
insist()
local taken = {}
for _, id in ipairs(call('ZRANGEBYSCORE', P .. 'callbacks', '-inf', now, 'LIMIT', 0, tonumber(ARGV[2]))) do
  local seen = view(id)
  if seen then
    local tries = call('HINCRBY', P .. 'job:' .. id, 'tries', 1)
    call('ZADD', P .. 'callbacks', now + 60000, id)
    -- Of a job that is retried and ends anew the tries begin again: this number never does.
    taken[#taken + 1] = {tries - 1, call('HINCRBY', P .. 'job:' .. id, 'telling', 1), seen}
  else
    call('ZREM', P .. 'callbacks', id)
  end
end
return taken
