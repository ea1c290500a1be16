package maas

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"

	api "github.com/egret-gateway/egret/api/maas"
	"github.com/egret-gateway/egret/store"
)

// maxBody bounds a request's body, in bytes; bodies of this API are tiny.
const maxBody = 1 << 20

// reply sends v as JSON.
func reply(w http.ResponseWriter, code int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("BUG: an answer of the API is no JSON: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	write(w, body)
}

// write sends the last part of an answer. That the client has gone meanwhile
// concerns nobody.
func write(w io.Writer, body []byte) { _, _ = w.Write(body) }

// refuse sends an error of the token and key endpoints.
func refuse(w http.ResponseWriter, code int, text string) { reply(w, code, api.Error{Error: text}) }

// failed answers a request that went wrong in our world.
func failed(w http.ResponseWriter, err error, text string) { refuse(w, broken(w, err), text) }

// broken is the status of such an answer: 503 when somebody who is asked is
// away and expected back, else 500.
func broken(w http.ResponseWriter, err error) int {
	if !away(err) {
		return http.StatusInternalServerError
	}
	w.Header().Set("Retry-After", "1")
	return http.StatusServiceUnavailable
}

// away reports whether the database or the cluster could not be reached in
// time.
func away(err error) bool {
	var network net.Error
	return errors.Is(err, store.ErrAway) || errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network)
}

// refuseHeader answers a request without a usable identity. That is a mistake
// in the gateway's set-up, hence 500.
func refuseHeader(w http.ResponseWriter, ref string) {
	reply(w, http.StatusInternalServerError, api.HeaderError{
		Error: "Exception thrown while generating token", ExceptionCode: "AUTH_FAILURE", RefID: ref,
	})
}

// readBody reads the JSON body, whatever its Content-Type says. io.EOF means
// that there is none.
func readBody(r *http.Request, into any) error {
	return json.NewDecoder(r.Body).Decode(into)
}

// refuseBody answers a body that readBody could not read.
func refuseBody(w http.ResponseWriter, err error) {
	code := http.StatusBadRequest
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		code = http.StatusRequestEntityTooLarge
	}
	refuse(w, code, err.Error())
}
