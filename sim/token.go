package sim

import "strings"

const punctuation = `{}()[]:,-.?!;@#$%^&*+_~/\<>="`

// Tokens cuts text the way the simulator counts it: a token is one mark of punctuation or a run of ASCII letters, digits
// and underscores, together with the white space behind it. Other characters (apostrophes, letters outside ASCII) are
// skipped and not counted, so joining the tokens gives back a text that has none of them.
func Tokens(text string) []string {
	var tokens []string
	for i := 0; i < len(text); {
		end := i
		switch {
		case strings.IndexByte(punctuation, text[i]) >= 0:
			end = i + 1
		case wordByte(text[i]):
			for end < len(text) && wordByte(text[end]) {
				end++
			}
		default:
			i++
			continue
		}
		for end < len(text) && strings.IndexByte(" \t\n\f\r", text[end]) >= 0 {
			end++
		}
		tokens = append(tokens, text[i:end])
		i = end
	}
	return tokens
}

func wordByte(b byte) bool {
	return b == '_' || '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}
