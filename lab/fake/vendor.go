package fake

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
)

// largest is the longest body that a vendor reads, in bytes.
const largest = 4 << 20

// Vendor is one fake service under one or more host names.
type Vendor struct {
	Name  string
	Hosts []string
	// Key is the API key the vendor was born with; "" for one that has none.
	Key string

	w       *World
	mux     *http.ServeMux
	render  func(*exchange, *refusal) // writes an error as the vendor does
	shapes  shapes
	journal journal

	mu     sync.Mutex
	keys   []string
	models []string
	next   []Fault
	always Fault
}

func (w *World) vendor(name string, render func(*exchange, *refusal), hosts ...string) *Vendor {
	return &Vendor{Name: name, Hosts: hosts, w: w, mux: http.NewServeMux(), render: render, shapes: readShapes(name)}
}

// withKey gives the vendor the API key that it is born with.
func (v *Vendor) withKey(key string) *Vendor {
	v.Key, v.keys = key, []string{key}
	return v
}

// URL is the address of the vendor as its users write it, without a path.
func (v *Vendor) URL() string {
	if v == v.w.Metadata {
		return "http://" + v.Hosts[0]
	}
	return "https://" + v.Hosts[0]
}

// Accept makes the vendor accept a further API key.
func (v *Vendor) Accept(key string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keys = append(v.keys, key)
}

// Revoke makes the vendor refuse an API key from now on.
func (v *Vendor) Revoke(key string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keys = slices.DeleteFunc(v.keys, func(k string) bool { return k == key })
}

// Offer adds models (of Azure: deployments) to those the vendor has.
func (v *Vendor) Offer(models ...string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.models = append(v.models, models...)
}

// Next lets the faults strike the next requests, one each, in their order.
func (v *Vendor) Next(faults ...Fault) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.next = append(v.next, faults...)
}

// Always lets the fault strike every request for which Next has none.
func (v *Vendor) Always(f Fault) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.always = f
}

// Journal returns the requests so far, the oldest first.
func (v *Vendor) Journal() []Seen { return v.journal.read() }

// Forget empties the journal.
func (v *Vendor) Forget() { v.journal.clear() }

func (v *Vendor) fault() Fault {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.next) == 0 {
		return v.always
	}
	f := v.next[0]
	v.next = v.next[1:]
	return f
}

func (v *Vendor) accepts(key string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return key != "" && slices.Contains(v.keys, key)
}

func (v *Vendor) offers(model string) bool { return slices.Contains(v.catalog(), model) }

func (v *Vendor) catalog() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.models)
}

// refusal is an error answer before the vendor's words are put to it.
type refusal struct {
	Status     int
	Kind       string // the vendor's class of error; "" for that of the status
	Code       string
	Param      string
	Message    string
	RetryAfter string
	Location   string
}

func (r *refusal) Error() string { return r.Message }

// errLeft ends an exchange whose answer has begun and will not be completed.
var errLeft = errors.New("the answer ended early")

// exchange is one request and its answer.
type exchange struct {
	http.ResponseWriter
	r     *http.Request
	v     *Vendor
	body  []byte
	seen  *Seen
	fault Fault
}

// handle serves what matches the pattern, as http.ServeMux has it.
func (v *Vendor) handle(pattern string, serve func(*exchange) error) {
	v.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		x := w.(*exchange)
		x.r = r // with the path's values
		err := serve(x)
		var refused *refusal
		if errors.As(err, &refused) {
			x.refuse(refused)
		}
	})
}

// ServeHTTP answers one request.
func (v *Vendor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, largest))
	x := &exchange{ResponseWriter: w, r: r, v: v, body: body, seen: &Seen{
		Vendor: v.Name, Time: v.w.now(), Proto: r.Proto, Method: r.Method, Host: r.Host,
		Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Header: r.Header.Clone(), Body: body,
	}}
	v.journal.open(x.seen)
	switch status := v.reach(r); {
	case err != nil:
		x.refuse(&refusal{Status: http.StatusRequestEntityTooLarge, Message: "Request body is too large."})
	case status != 0:
		x.refuse(&refusal{Status: status, Message: "Invalid URL (" + r.Method + " " + r.URL.Path + ")"})
	default:
		v.mux.ServeHTTP(x, r)
	}
}

// reach is 0 when the vendor has the request's path and method, else 404 or 405.
func (v *Vendor) reach(r *http.Request) int {
	if clean := path.Clean(r.URL.Path); clean != r.URL.Path && clean+"/" != r.URL.Path {
		return http.StatusNotFound
	}
	if _, pattern := v.mux.Handler(r); pattern != "" {
		return 0
	}
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut} {
		probe := r.Clone(r.Context())
		probe.Method = method
		if _, pattern := v.mux.Handler(probe); pattern != "" {
			return http.StatusMethodNotAllowed
		}
	}
	return http.StatusNotFound
}

// WriteHeader notes the status in the journal.
func (x *exchange) WriteHeader(status int) {
	x.v.journal.note(func() { x.seen.Status = status })
	x.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController flush.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

func (x *exchange) refuse(r *refusal) {
	x.v.journal.note(func() { x.seen.Refusal = r.Message })
	if r.RetryAfter != "" {
		x.Header().Set("Retry-After", r.RetryAfter)
	}
	if r.Location != "" {
		x.Header().Set("Location", r.Location)
		x.WriteHeader(r.Status)
		return
	}
	x.v.render(x, r)
}

// presents notes the credential of a request, and whose it is once accepted.
func (x *exchange) presents(credential, subject string) {
	via := ""
	for name, values := range x.r.Header {
		if credential != "" && slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, credential) }) {
			via = strings.ToLower(name)
		}
	}
	x.v.journal.note(func() { x.seen.Credential, x.seen.Via, x.seen.Subject = credential, via, subject })
}

// bearer is the token of the Authorization header, "" for none or another scheme.
func (x *exchange) bearer() string {
	scheme, token, _ := strings.Cut(x.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

// media refuses a body that is not of the type.
func (x *exchange) media(want string) error {
	got, _, _ := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	if got == want {
		return nil
	}
	return &refusal{Status: http.StatusUnsupportedMediaType, Message: "Unsupported Media Type: " + got + "; want " + want}
}

// trouble takes the request's fault and lets it strike, where it does so
// before there is an answer.
func (x *exchange) trouble() error {
	x.fault = x.v.fault()
	switch f := x.fault; {
	case f.Redirect != "":
		return &refusal{Status: http.StatusFound, Location: f.Redirect, Message: "redirected"}
	case f.Status != 0:
		return &refusal{Status: f.Status, RetryAfter: f.RetryAfter, Message: phrase(f.Status)}
	}
	return nil
}

// phrase is what a vendor says when it cannot.
func phrase(status int) string {
	switch status {
	case http.StatusTooManyRequests:
		return "Rate limit reached for requests. Please try again later."
	case http.StatusServiceUnavailable, 529:
		return "Overloaded"
	}
	return "The server had an error while processing your request."
}

// usage is what the answer says it cost, and whether it says so.
func (x *exchange) usage(in, out int) (Usage, bool) {
	if x.fault.Usage != nil {
		return *x.fault.Usage, true
	}
	return Usage{Input: in, Output: out}, !x.fault.NoUsage
}
