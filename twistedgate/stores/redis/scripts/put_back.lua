-- Queue a job again whose run is over, to be run after a delay; 0 if the claim is not valid any more.
local _, saying, id, fence, delay = unpack(ARGV)
local job = load(id)
if not job then return 0 end
if job.state ~= 'running' or job.fence ~= tonumber(fence) then
  if call('HGET', job.key, 'ended') == saying then return 1 end
  call('UNLINK', P .. 'body:' .. id .. ':result:' .. fence)
  return 0
end
leave_run(job)
call('HSET', job.key, 'ended', saying)
drop_pieces_of_run(job)
queue_again(job, now + tonumber(delay))
work(job.route)
return 1
