package memo

// textBytes are the bytes that stand for themselves in text.
var textBytes = bytesExcept(`%"#{}`)

// partBytes are those that stand for themselves in the parts of a prefix, in
// the names of fields and in those of types.
var partBytes = bytesExcept(`%"#{}:@()`)

// bytesExcept is the set of printable ASCII characters but those given.
func bytesExcept(escaped string) (set [256]bool) {
	for c := '!'; c <= '~'; c++ {
		set[c] = true
	}
	for _, c := range escaped {
		set[c] = false
	}
	return set
}

// countEscapes returns how many bytes of text need an escape.
func countEscapes(text string) (n int) {
	for i := range len(text) {
		if !textBytes[text[i]] {
			n++
		}
	}
	return n
}

// appendEscaped appends text with all bytes escaped that are not in the set
// plain. The set lacks %, so that different texts stay different.
func appendEscaped(b []byte, text string, plain *[256]bool) []byte {
	const digits = "0123456789ABCDEF"
	done := 0
	for i := range len(text) {
		if c := text[i]; !plain[c] {
			b = append(b, text[done:i]...)
			b = append(b, '%', digits[c>>4], digits[c&15])
			done = i + 1
		}
	}
	return append(b, text[done:]...)
}
