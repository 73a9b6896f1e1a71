-- Throw a body away that nobody has laid hold of; what the end of a run has kept stays.
local _, id, kind, fence = unpack(ARGV)
local body = P .. 'body:' .. id .. ':' .. kind
if fence ~= '' then
  call('UNLINK', body .. ':' .. fence)
elseif kind == 'request' or of_job(id, 'state')[1] ~= 'succeeded' then
  call('UNLINK', body)
  call('HDEL', P .. 'job:' .. id, kind)
end
return 1
