-- Removes KEYS[1] if its value is ARGV[1]. Answers whether it did.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return 0
end
redis.call('UNLINK', KEYS[1])
return 1
