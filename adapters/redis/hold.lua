-- Removes KEYS[1] and puts a Hold with the token ARGV[1] at KEYS[2] for ARGV[2]
-- milliseconds. Publishes the key to the channel ARGV[3] if that is not empty.
redis.call('UNLINK', KEYS[1])
redis.call('SET', KEYS[2], 'H' .. ARGV[1], 'PX', ARGV[2])
if ARGV[3] ~= '' then
	redis.call('PUBLISH', ARGV[3], KEYS[1])
end
return 1
