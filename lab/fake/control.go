package fake

import (
	"encoding/json"
	"net/http"
)

// Control is the hand of a test that is another process:
//
//	POST   /faults?vendor=openai  a list of Faults, for the next requests
//	PUT    /faults?vendor=openai  the one Fault that always strikes
//	GET    /journal?vendor=openai what it saw
//	DELETE /journal?vendor=openai forget it
//
// It must not be served where the vendors' clients can reach it by accident.
func (w *World) Control() http.Handler {
	mux := http.NewServeMux()
	on := func(pattern string, serve func(*Vendor, http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(pattern, func(rw http.ResponseWriter, r *http.Request) {
			for _, v := range w.Vendors() {
				if v.Name != r.URL.Query().Get("vendor") {
					continue
				}
				if err := serve(v, rw, r); err != nil {
					http.Error(rw, err.Error(), http.StatusBadRequest)
				}
				return
			}
			http.Error(rw, "no such vendor", http.StatusNotFound)
		})
	}
	on("POST /faults", func(v *Vendor, _ http.ResponseWriter, r *http.Request) error {
		var faults []Fault
		if err := json.NewDecoder(r.Body).Decode(&faults); err != nil {
			return err
		}
		v.Next(faults...)
		return nil
	})
	on("PUT /faults", func(v *Vendor, _ http.ResponseWriter, r *http.Request) error {
		var f Fault
		if err := json.NewDecoder(r.Body).Decode(&f); err != nil {
			return err
		}
		v.Always(f)
		return nil
	})
	on("GET /journal", func(v *Vendor, rw http.ResponseWriter, _ *http.Request) error {
		rw.Header().Set("Content-Type", "application/json")
		return json.NewEncoder(rw).Encode(v.Journal())
	})
	on("DELETE /journal", func(v *Vendor, _ http.ResponseWriter, _ *http.Request) error {
		v.Forget()
		return nil
	})
	return mux
}
