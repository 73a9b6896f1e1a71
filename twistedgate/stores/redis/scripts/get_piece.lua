-- Return a piece of a body: of a large one, of one that is just written, or a small one that is one piece.
local _, id, kind, number, fence = unpack(ARGV)
local body = P .. 'body:' .. id .. ':' .. kind
local piece = call('HGET', body, number)
if not piece and fence ~= '' then piece = call('HGET', body .. ':' .. fence, number) end
if not piece and number == '0' then piece = of_job(id, kind)[1] end
return piece
