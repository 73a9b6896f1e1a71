-- Cancel a job that is queued or running; return whether it was, and how it stands.
local id = ARGV[2]
local job = load(id)
if not job then return {0, false} end
local was_unfinished = 0
if job.state == 'queued' then
  was_unfinished = 1
  dequeue(job)
  conclude(job, 'cancelled', '')
elseif job.state == 'running' then
  was_unfinished = 1
  leave_run(job)
  drop_pieces_of_run(job)
  conclude(job, 'cancelled', '')
  work(job.route)
end
return {was_unfinished, view(id)}
