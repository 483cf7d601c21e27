-- A lock key holds the fence in decimal digits, a colon, and the token of the
-- holder.
local function holder(held)
	if held then
		local fence, token = string.match(held, '^(%d+):(.+)$')
		return token, fence
	end
end
