-- A runner ends in order: what it still has is for the next sweep, at once.
insist()
call('ZADD', P .. 'runners', now, ARGV[2])
return 1
