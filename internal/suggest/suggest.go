// Package suggest finds the word that was meant.
package suggest

import (
	"fmt"
	"strings"
)

// DidYouMean returns a question, with a space after it, if one of the words is
// near, and else nothing.
func DidYouMean(word string, words []string) string {
	if best := Nearest(word, words); best != "" {
		return fmt.Sprintf("did you mean %q? ", best)
	}
	return ""
}

// Nearest returns the word that is nearest, if one is near, and else nothing.
func Nearest(word string, words []string) string {
	best, least := "", min(2, len(word)/2)+1
	for _, w := range words {
		if d := distance(strings.ToLower(word), strings.ToLower(w)); d < least || d == least && best != "" && w < best {
			best, least = w, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete, replace or exchange
// with a neighbour that make a into b (Damerau, optimal string alignment).
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
