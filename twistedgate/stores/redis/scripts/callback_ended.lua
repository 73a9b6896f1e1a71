-- Say that a callback is over, or after which delay it is tried again; who is late changes nothing.
local _, id, telling, delay = unpack(ARGV)
local key = P .. 'job:' .. id
if call('HGET', key, 'telling') ~= telling or not call('ZSCORE', P .. 'callbacks', id) then return 0 end
insist()
if delay ~= '' then
  call('ZADD', P .. 'callbacks', now + tonumber(delay), id)
  return 1
end
call('ZREM', P .. 'callbacks', id)
-- The last reason to remember it, if its time is over.
if call('HGET', key, 'gone') and not call('ZSCORE', P .. 'expiry', id) then call('DEL', key) end
return 1
