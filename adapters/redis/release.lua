-- Ends the Hold at KEYS[2] if it is that of the token ARGV[1], and removes
-- KEYS[1]. Publishes the key to the channel ARGV[2] if that is not empty.
-- Answers whether it did.
if redis.call('GET', KEYS[2]) ~= 'H' .. ARGV[1] then
	return 0
end
redis.call('UNLINK', KEYS[1], KEYS[2])
if ARGV[2] ~= '' then
	redis.call('PUBLISH', ARGV[2], KEYS[1])
end
return 1
