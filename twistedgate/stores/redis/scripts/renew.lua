-- A runner lives; return what is under way there.
beat()
renew(ARGV[2])
return call('SMEMBERS', P .. 'runs:' .. ARGV[2])
