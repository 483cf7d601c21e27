-- Removes KEYS[1] and puts a Hold at KEYS[2] for ARGV[1] milliseconds, in place
-- of what there is. Publishes the key to the channel ARGV[2] if that is not
-- empty. If it is, tracking tells; see delete.lua.
if ARGV[2] ~= '' then
	redis.call('UNLINK', KEYS[1])
	redis.call('PUBLISH', ARGV[2], KEYS[1])
elseif redis.call('UNLINK', KEYS[1]) < redis.call('EXISTS', KEYS[2]) then
	redis.pcall('SET', KEYS[1], '')
	redis.call('UNLINK', KEYS[1])
end
redis.call('SET', KEYS[2], 'H', 'PX', ARGV[1])
return 1
