-- Return how a job stands.
return view(ARGV[2])
