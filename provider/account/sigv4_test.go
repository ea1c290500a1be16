package account

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSign: the test suite that AWS has published for signature version 4.
func TestSign(t *testing.T) {
	now := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	k := keys{id: "AKIDEXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	f := func(name, method, path, signature string) {
		t.Run("gateway-119 "+name, func(t *testing.T) {
			r := &Request{Method: method, Host: "example.amazonaws.com", Path: path, Header: http.Header{"Accept": {"*/*"}}}
			sign(r, k, "us-east-1", "service", now)
			want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + signature
			if got := r.Header.Get("Authorization"); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
	f("get-vanilla", "GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31")
	f("get-vanilla-query-order-key-case", "GET", "/?Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500")
	f("post-vanilla", "POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b")
	f("get-utf8", "GET", "/ሴ", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85")
}

// TestCanonical: what of a request the other side must see as it was signed.
func TestCanonical(t *testing.T) {
	r := &Request{
		Method: "POST", Host: "bedrock.example", Path: "/model/a.b%3A1/invoke?b=2&a=%2f&a=&c", Body: []byte("{}"),
		Header: http.Header{"Content-Type": {"application/json"}, "X-Amz-Target": {"  a   b "}, "Traceparent": {"changes on the way"}},
	}
	got, fields := canonicalRequest(r)
	want := strings.Join([]string{
		"POST", "/model/a.b%253A1/invoke", "a=&a=%2F&b=2&c=",
		"content-type:application/json", "host:bedrock.example", "x-amz-target:a b", "", "content-type;host;x-amz-target",
		"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
	}, "\n")
	if got != want || fields != "content-type;host;x-amz-target" {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
