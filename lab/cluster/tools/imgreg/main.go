// Command imgreg is a read-only container registry over a directory of
// OCI-layout tars, such as mkimage writes. It stands for every registry there
// is: containerd says which one it means with ?ns=HOST, so that an image which
// a tar's index.json names ghcr.io/acme/app:v1 answers a pull of just that.
//
//	imgreg -listen 10.250.0.10:5000 -dir images
//
// The directory is looked at again for every manifest, so that a tar can be
// pulled as soon as it is there.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:5000", "address to listen on")
	dir := flag.String("dir", "images", "directory of OCI-layout tars")
	flag.Parse()
	s := &shelf{dir: *dir, tars: map[string]*archive{}}
	log.Printf("serving the images in %s on %s", *dir, *listen)
	log.Fatal(http.ListenAndServe(*listen, s))
}

// ServeHTTP serves the part of the OCI distribution API that a pull needs.
func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	p := strings.TrimPrefix(r.URL.Path, "/v2/")
	if p == "" || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return
	}
	if i := strings.LastIndex(p, "/manifests/"); i >= 0 {
		registry := r.URL.Query().Get("ns")
		if registry == "" {
			registry = "localhost"
		}
		s.manifest(w, r, registry+"/"+p[:i], p[i+len("/manifests/"):])
		return
	}
	if i := strings.LastIndex(p, "/blobs/"); i >= 0 {
		if b, ok := s.blob(p[i+len("/blobs/"):]); ok {
			b.send(w, r, "application/octet-stream")
			return
		}
	}
	unknown(w, "BLOB_UNKNOWN", p)
}

func (s *shelf) manifest(w http.ResponseWriter, r *http.Request, repository, reference string) {
	digest := reference
	if !strings.HasPrefix(reference, "sha256:") {
		digest = s.digest(repository + ":" + reference)
	}
	b, ok := s.blob(digest)
	if !ok {
		log.Printf("no image %s:%s", repository, reference)
		unknown(w, "MANIFEST_UNKNOWN", repository+":"+reference)
		return
	}
	b.send(w, r, "application/vnd.oci.image.manifest.v1+json")
}

// send answers with a blob; what is itself a document says what type it has.
func (b blob) send(w http.ResponseWriter, r *http.Request, mediaType string) {
	f, err := os.Open(b.file)
	if err != nil {
		unknown(w, "BLOB_UNKNOWN", err.Error())
		return
	}
	defer f.Close()
	content := io.NewSectionReader(f, b.offset, b.size)
	if strings.HasSuffix(mediaType, "+json") {
		var m struct{ MediaType string }
		if json.NewDecoder(content).Decode(&m) == nil && m.MediaType != "" {
			mediaType = m.MediaType
		}
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Docker-Content-Digest", b.digest)
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(f, b.offset, b.size))
}

func unknown(w http.ResponseWriter, code, what string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, code, what)
}
