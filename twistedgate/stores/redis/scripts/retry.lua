-- Queue a failed or cancelled job again whose request is kept; return how it stands.
local id = ARGV[2]
local job = load(id)
if not job then return false end
if (job.state == 'failed' or job.state == 'cancelled') and not job.forgotten and not is_gone(job) then
  call('HDEL', job.key, 'finished', 'status', 'tries')
  call('HSET', job.key, 'reason', '')
  call('ZREM', P .. 'expiry', id)
  call('ZREM', P .. 'callbacks', id)
  queue_again(job, now)
  work(job.route)
end
return view(id)
