-- What every script begins with: the keys, the clock, and the steps of a job's life.
--
-- KEYS[1] is the prefix of all keys; its hash tag keeps them in one slot.  ARGV[1] is added to the clock, in
-- milliseconds.  All times are milliseconds by Redis' own clock.  A script runs whole or not at all, so what
-- is read here is still true when it is written: a Redis without memory refuses only the first write of a
-- script, and only one that needs memory, so that jobs are refused (INCR) and ends are not (SREM).
--
--   job:ID          hash    all that is known of a job, with a small body of its request and of its result
--   body:ID:request hash    the pieces of a large body, by number; expires until the job is submitted
--   body:ID:result  hash    the same of the result; body:ID:result:FENCE is that of a run under way, and expires
--   ready:ROUTE     zset    queued and due: score is -priority, and members, whose order counts, begin with the age
--   later:ROUTE     zset    queued and not due yet, by the time they are
--   waiting:ROUTE   zset    queued, by age
--   running:ROUTE   set     under way
--   shares:ROUTE    hash    queued jobs of each caller
--   routes          set     routes that have or had jobs that are not finished
--   deadlines       zset    queued jobs, by the end of their patience
--   expiry          zset    finished jobs, by the time of their next step towards oblivion
--   all, owner:O    zset    jobs that can be listed, by age
--   key:K           string  the job of an idempotency key
--   runners         zset    runners, by the end of their lease
--   runs:RUNNER     set     jobs under way there
--   serves:RUNNER   set     routes that it has
--   servers         zset    runners, by the time until which that counts; longer than they live
--   epochs          hash    the number of each runner's connection
--   callbacks       zset    jobs whose end is to be told, by the time of the next try
--   clock           hash    when somebody last said that he lives; until when nobody's lease runs out
--   seq             counter of jobs

local P = KEYS[1]
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])

local LEASE = 60000
-- Nobody has said that he lives for two intervals: it was Redis that was away.
local GAP = 20000
-- An interval, and some time to connect again.
local GRACE = 15000
local BATCH = 200
-- As in jobs/job.py: a job that was run so often may be what kills its runners.
local MOST_RUNS = 20

local VIEW = {'new', 'secret', 'state', 'submitted', 'started', 'finished', 'attempts', 'due', 'status',
              'reason', 'head', 'forgotten', 'runner', 'version'}

-- Go on in a Redis without memory, too: what says that somebody lives, or lets things go, is not to be refused.
local function insist() call('SREM', P .. 'routes', '') end

local function place(id, seq) return string.format('%016.0f', seq) .. id end

local function of_place(member) return string.sub(member, 17) end

-- Fields of a job, none where it is lost: a Redis may be told to throw away what is used least, and somebody
-- else may have written there.  One job that is lost must not stop a script that many wait for.
local function of_job(id, ...)
  local seen = redis.pcall('HMGET', P .. 'job:' .. id, ...)
  return seen.err and {} or seen
end

local function view(id)
  local seen = of_job(id, unpack(VIEW))
  if not seen[1] then return false end
  seen[#VIEW + 1] = id
  seen[#VIEW + 2] = string.format('%.0f', now)
  return seen
end

local function load(id)
  local f = of_job(id, 'state', 'route', 'caller', 'runner', 'fence', 'seq', 'priority', 'ttl', 'patience', 'again',
                   'callback', 'submitted', 'finished', 'forgotten')
  if not f[1] then return nil end
  -- what the steps of its life count with
  if not (tonumber(f[6]) and tonumber(f[7]) and tonumber(f[8]) and tonumber(f[9]) and tonumber(f[12])) then return nil end
  return {id = id, key = P .. 'job:' .. id, state = f[1], route = f[2], caller = f[3], runner = f[4],
          fence = tonumber(f[5]), seq = tonumber(f[6]), priority = tonumber(f[7]), ttl = tonumber(f[8]),
          patience = tonumber(f[9]), again = f[10] == '1', callback = f[11], submitted = tonumber(f[12]),
          finished = tonumber(f[13]), forgotten = f[14] == '1'}
end

local function is_gone(job) return job.finished and job.finished + job.ttl <= now end

-- Tell watchers that a job changed.
local function changed(job)
  call('HINCRBY', job.key, 'version', 1)
  call('PUBLISH', P .. 'changed:' .. job.id, job.state)
end

-- Tell runners that there may be something to claim.
local function work(route)
  if call('EXISTS', P .. 'waiting:' .. route) == 1 then call('PUBLISH', P .. 'work', route) end
end

local function enqueue(job, due)
  local member = place(job.id, job.seq)
  if due > now then
    call('ZADD', P .. 'later:' .. job.route, due, member)
  else
    call('ZADD', P .. 'ready:' .. job.route, -job.priority, member)
  end
  call('ZADD', P .. 'waiting:' .. job.route, job.seq, job.id)
  call('ZADD', P .. 'deadlines', math.max(job.submitted, due) + job.patience, job.id)
  call('HINCRBY', P .. 'shares:' .. job.route, job.caller, 1)
  call('SADD', P .. 'routes', job.route)
end

local function dequeue(job)
  local member = place(job.id, job.seq)
  if call('ZREM', P .. 'ready:' .. job.route, member) == 0 then call('ZREM', P .. 'later:' .. job.route, member) end
  call('ZREM', P .. 'waiting:' .. job.route, job.id)
  call('ZREM', P .. 'deadlines', job.id)
  if call('HINCRBY', P .. 'shares:' .. job.route, job.caller, -1) <= 0 then
    call('HDEL', P .. 'shares:' .. job.route, job.caller)
  end
end

-- Take a job that is lost out of the queue that it is in.
local function dequeue_lost(id)
  for _, route in ipairs(call('SMEMBERS', P .. 'routes')) do
    local waiting = P .. 'waiting:' .. route
    local seq = call('ZSCORE', waiting, id)
    if seq then
      call('ZREM', P .. 'ready:' .. route, place(id, seq))
      call('ZREM', P .. 'later:' .. route, place(id, seq))
      call('ZREM', waiting, id)
      -- whose share it took is lost with it
      if call('EXISTS', waiting) == 0 then call('DEL', P .. 'shares:' .. route) end
    end
  end
  call('ZREM', P .. 'deadlines', id)
end

-- Take jobs that are lost out of those under way: some each time, as there may be many.
local function leave_lost(running)
  for _, id in ipairs(call('SRANDMEMBER', running, 8)) do
    if not of_job(id, 'state')[1] then call('SREM', running, id) end
  end
end

local function leave_run(job)
  call('SREM', P .. 'running:' .. job.route, job.id)
  call('SREM', P .. 'runs:' .. job.runner, job.id)
end

-- Begin a run of a job that is in no queue; return its fence.
local function begin(job, runner)
  job.state = 'running'
  call('HSET', job.key, 'state', 'running', 'started', now, 'runner', runner)
  call('HINCRBY', job.key, 'attempts', 1)
  call('SADD', P .. 'running:' .. job.route, job.id)
  call('SADD', P .. 'runs:' .. runner, job.id)
  call('SADD', P .. 'routes', job.route)
  return call('HINCRBY', job.key, 'fence', 1)
end

-- Queue a job again that is in no queue and not under way.
local function queue_again(job, due)
  due = math.max(due, now)
  job.state = 'queued'
  call('HSET', job.key, 'state', 'queued', 'due', due, 'runner', '')
  enqueue(job, due)
  changed(job)
end

-- End a job that is in no queue and not under way.
local function conclude(job, state, reason)
  job.state = state
  call('HSET', job.key, 'state', state, 'finished', now, 'reason', reason, 'runner', '')
  call('HDEL', job.key, 'secret')
  call('ZADD', P .. 'expiry', now + job.ttl, job.id)
  if job.callback ~= '' then
    call('HSET', job.key, 'tries', 0)
    -- Whoever told of an earlier end has nothing to say of this one.
    call('HINCRBY', job.key, 'telling', 1)
    call('ZADD', P .. 'callbacks', now, job.id)
  end
  changed(job)
end

local function drop_request(job)
  if call('HDEL', job.key, 'request') == 0 then call('UNLINK', P .. 'body:' .. job.id .. ':request') end
end

local function drop_result(job)
  call('HDEL', job.key, 'result', 'head')
  call('UNLINK', P .. 'body:' .. job.id .. ':result')
end

local function drop_pieces_of_run(job)
  call('UNLINK', P .. 'body:' .. job.id .. ':result:' .. job.fence)
end

-- Take a job from a runner that will not say how its run ended.
local function lapse(job)
  leave_run(job)
  drop_pieces_of_run(job)
  if job.again and tonumber(call('HGET', job.key, 'attempts')) < MOST_RUNS then
    queue_again(job, now)
    work(job.route)
    return 'put_back'
  end
  conclude(job, 'failed', 'interrupted')
  work(job.route)
  return 'interrupted'
end

-- A claim that never reached its runner did not begin.
local function unbegin(job)
  leave_run(job)
  if call('HINCRBY', job.key, 'attempts', -1) == 0 then call('HDEL', job.key, 'started') end
  queue_again(job, now)
  work(job.route)
end

local function renew(runner)
  call('ZADD', P .. 'runners', now + LEASE, runner)
  call('ZADD', P .. 'servers', now + LEASE, runner)
end

-- Somebody lives; return whether leases may run out, which they may not for a while after Redis was away.
local function beat()
  local last, grace = unpack(call('HMGET', P .. 'clock', 'beat', 'grace'))
  if last and now - tonumber(last) > GAP then
    grace = now + GRACE
    call('HSET', P .. 'clock', 'grace', grace)
  end
  call('HSET', P .. 'clock', 'beat', now)
  return not grace or tonumber(grace) <= now
end

-- What has come due is ready.
local function promote(route)
  local later = P .. 'later:' .. route
  for _, member in ipairs(call('ZRANGEBYSCORE', later, '-inf', now, 'LIMIT', 0, BATCH)) do
    local priority = of_job(of_place(member), 'priority')[1]
    call('ZREM', later, member)
    if priority then call('ZADD', P .. 'ready:' .. route, -tonumber(priority), member) end
  end
end

-- The next job that is ready and whose patience lasts, and its score; what waited too long is for the sweep.
local function first_ready(route)
  local ready = P .. 'ready:' .. route
  while true do
    local first = call('ZRANGE', ready, 0, 0, 'WITHSCORES')
    if not first[1] then return nil end
    local id = of_place(first[1])
    local deadline = call('ZSCORE', P .. 'deadlines', id)
    if deadline and tonumber(deadline) > now then return id, tonumber(first[2]) end
    call('ZREM', ready, first[1])
  end
end

-- Refuse what a connection sent that its runner has given up since: its answer reaches nobody.
local function is_stale(runner, epoch)
  local last = call('HGET', P .. 'epochs', runner)
  return last and tonumber(last) > tonumber(epoch)
end
