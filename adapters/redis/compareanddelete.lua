-- Removes KEYS[1] if its value is ARGV[1], and the lease at KEYS[2] with it.
-- Publishes the key to the channel ARGV[2] if that is not empty. Answers
-- whether it did.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return 0
end
redis.call('UNLINK', KEYS[1], KEYS[2])
if ARGV[2] ~= '' then
	redis.call('PUBLISH', ARGV[2], KEYS[1])
end
return 1
