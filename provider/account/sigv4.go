package account

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// keys are what AWS signatures are made with.
type keys struct{ id, secret, session string }

// signed are the fields that a signature covers beside Host and those that
// begin with X-Amz-: such as nobody on the way changes.
var signed = []string{"Content-Type", "Content-Md5"}

// sign adds a signature of version 4 (AWS "Signature Version 4 signing
// process"). It covers the path as it is sent, so that nothing on the way may
// spell it anew, and the whole body.
func sign(r *Request, k keys, region, service string, now time.Time) {
	const algorithm = "AWS4-HMAC-SHA256"
	stamp := now.UTC().Format("20060102T150405Z")
	r.Header["X-Amz-Date"] = []string{stamp}
	if k.session != "" {
		r.Header["X-Amz-Security-Token"] = []string{k.session}
	}
	canonical, fields := canonicalRequest(r)
	scope := stamp[:8] + "/" + region + "/" + service + "/aws4_request"
	text := algorithm + "\n" + stamp + "\n" + scope + "\n" + digest([]byte(canonical))
	key := []byte("AWS4" + k.secret)
	for _, part := range []string{stamp[:8], region, service, "aws4_request"} {
		key = mac(key, part)
	}
	r.Header["Authorization"] = []string{algorithm + " Credential=" + k.id + "/" + scope + ", SignedHeaders=" + fields + ", Signature=" + hex.EncodeToString(mac(key, text))}
}

// canonicalRequest is the text that both sides make of a request, and the list
// of the fields in it.
func canonicalRequest(r *Request) (text, fields string) {
	path, query, _ := strings.Cut(r.Path, "?")
	values := map[string]string{"host": r.Host}
	for name, v := range r.Header {
		lower := strings.ToLower(name)
		if !slices.Contains(signed, name) && !strings.HasPrefix(lower, "x-amz-") {
			continue
		}
		var squeezed []string
		for _, one := range v {
			squeezed = append(squeezed, strings.Join(strings.Fields(one), " "))
		}
		values[lower] = strings.Join(squeezed, ",")
	}
	names := slices.Sorted(maps.Keys(values))
	fields = strings.Join(names, ";")
	var b strings.Builder
	b.WriteString(r.Method + "\n" + escape(path, true) + "\n" + canonicalQuery(query) + "\n")
	for _, n := range names {
		b.WriteString(n + ":" + values[n] + "\n")
	}
	b.WriteString("\n" + fields + "\n" + digest(r.Body))
	return b.String(), fields
}

// canonicalQuery is the query with its parameters escaped in one way, by name
// and value.
func canonicalQuery(query string) string {
	var pairs [][2]string
	for part := range strings.SplitSeq(query, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		pairs = append(pairs, [2]string{escape(unescape(name), false), escape(unescape(value), false)})
	}
	slices.SortFunc(pairs, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	var out []string
	for _, p := range pairs {
		out = append(out, p[0]+"="+p[1])
	}
	return strings.Join(out, "&")
}

func unescape(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}

// escape leaves what RFC 3986 2.3 calls unreserved as it is, and slashes of a
// path. A path that has escapes already gets them escaped again, as all AWS
// services but S3 expect it.
func escape(s string, path bool) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '~', path && c == '/':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hexDigits[c>>4])
			b.WriteByte(hexDigits[c&15])
		}
	}
	return b.String()
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
