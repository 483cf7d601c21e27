-- Frees the lock at KEYS[1] if the token ARGV[1] holds it, and tells the channel
-- of the same name; with ARGV[2] that of its slot, if the server has such.
-- Answers whether it did. A user who may not publish is told so while the lock
-- is still there. The message is not seen before the script has ended.
if holder(redis.call('GET', KEYS[1])) ~= ARGV[1] then
	return 0
end
local told = ARGV[2] == '1' and redis.pcall('SPUBLISH', KEYS[1], '')
if type(told) ~= 'number' then
	redis.call('PUBLISH', KEYS[1], '')
end
return redis.call('UNLINK', KEYS[1])
