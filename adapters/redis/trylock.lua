-- Takes the lock at KEYS[1] for the token ARGV[1] and ARGV[2] milliseconds,
-- unless another token holds it. The last fence is at KEYS[2], for ARGV[3]
-- milliseconds more: where it has been lost, the clock makes a larger one.
-- Answers 1 and the fence, or 0 and the milliseconds that are left.
local held = redis.call('GET', KEYS[1])
local token, fence = holder(held)
if held and token ~= ARGV[1] then
	return {0, redis.call('PTTL', KEYS[1])}
end
if held then
	redis.call('PEXPIRE', KEYS[2], ARGV[3])
	redis.call('PEXPIRE', KEYS[1], ARGV[2])
	return {1, fence}
end
local now = redis.call('TIME')
local micros = now[1] * 1000000 + now[2] -- a number of Lua is exact up to the year 2255
local last = tonumber(redis.call('GET', KEYS[2]) or 0)
fence = string.format('%.0f', math.max(last + 1, micros))
redis.call('SET', KEYS[2], fence, 'PX', ARGV[3])
redis.call('SET', KEYS[1], fence .. ':' .. ARGV[1], 'PX', ARGV[2])
return {1, fence}
