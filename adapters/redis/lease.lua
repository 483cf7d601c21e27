-- A lease key holds L and the token; or D, the SHA-1 of the entry that the
-- lease was granted despite, in hex, and the token; or H alone, a Hold.
local function owns(lease, token)
	return lease == 'L' .. token
		or lease and string.sub(lease, 1, 1) == 'D' and string.sub(lease, 42) == token
end
