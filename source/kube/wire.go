package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/egret-gateway/egret/source"
)

// newClient returns a client that speaks JSON and decodes nothing but errors.
// Where the configuration sets no rate there is none: what is written at once
// is bounded (atOnce), and who is served when is for the API server's priority
// and fairness to say. The status of thousands of routes is told in seconds.
func newClient(config *rest.Config) (*rest.RESTClient, error) {
	c := rest.CopyConfig(config)
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	c.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	c.ContentType, c.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	if c.QPS == 0 && c.RateLimiter == nil {
		c.QPS = -1
	}
	return rest.UnversionedRESTClientFor(c)
}

// wire lists and watches one version of a kind. It is the ListerWatcher of a
// reflector.
type wire struct {
	client  *rest.RESTClient
	kind    *kind
	version string
	manager string
	// headsOnly asks for metadata alone.
	headsOnly bool
}

var _ cache.ListerWatcherWithContext = (*wire)(nil)

// path is the path of the kind's collection in a namespace, "" being all.
func (k *kind) path(version, namespace string) []string {
	p := []string{"apis", k.group, version}
	if k.group == "" {
		p = []string{"api", version}
	}
	if namespace != "" {
		p = append(p, "namespaces", namespace)
	}
	return append(p, k.plural)
}

// object is the path of one object.
func (k *kind) objectPath(version string, key source.Key) []string {
	return append(k.path(version, key.Namespace), key.Name)
}

func (w *wire) request(o metav1.ListOptions) *rest.Request {
	r := w.client.Get().AbsPath(w.kind.path(w.version, w.kind.namespace)...)
	set := func(name, value string) {
		if value != "" {
			r.Param(name, value)
		}
	}
	if w.headsOnly {
		r.SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")
	}
	set("labelSelector", w.kind.labels)
	set("fieldSelector", w.kind.fields)
	set("resourceVersion", o.ResourceVersion)
	set("resourceVersionMatch", string(o.ResourceVersionMatch))
	set("continue", o.Continue)
	if o.Limit > 0 {
		set("limit", strconv.FormatInt(o.Limit, 10))
	}
	if o.TimeoutSeconds != nil {
		set("timeoutSeconds", strconv.FormatInt(*o.TimeoutSeconds, 10))
	}
	if o.SendInitialEvents != nil {
		set("sendInitialEvents", strconv.FormatBool(*o.SendInitialEvents))
	}
	if o.AllowWatchBookmarks {
		set("allowWatchBookmarks", "true")
	}
	return r
}

// probe asks for a single object: whether the version is there and may be read.
func (w *wire) probe(ctx context.Context) error {
	_, err := w.ListWithContext(ctx, metav1.ListOptions{Limit: 1})
	return err
}

// there returns refused, by which the server let nobody see whether it has the
// kind, unless its discovery says that it has not. Everybody may ask for that.
func (w *wire) there(ctx context.Context, refused error) error {
	path := w.kind.path(w.version, "")
	raw, err := w.client.Get().AbsPath(path[:len(path)-1]...).Do(ctx).Raw()
	if apierrors.IsNotFound(err) {
		return err
	}
	var list metav1.APIResourceList
	if err != nil || json.Unmarshal(raw, &list) != nil {
		return refused
	}
	if !slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == w.kind.plural }) {
		return apierrors.NewNotFound(schema.GroupResource{Group: w.kind.group, Resource: w.kind.plural}, "")
	}
	return refused
}

// ListWithContext reads one page, item by item, so that no more than one
// object is ever held in its wire form.
func (w *wire) ListWithContext(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
	body, err := w.request(o).Stream(ctx)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	out := &page{}
	d := json.NewDecoder(body)
	err = eachField(d, func(name string) error {
		switch name {
		case "metadata":
			return d.Decode(&out.ListMeta)
		case "items":
			return eachElement(d, func(raw json.RawMessage) error {
				i, err := w.kind.decode(raw, w.manager)
				if err == nil {
					out.Items = append(out.Items, i)
				}
				return err
			})
		}
		var skipped json.RawMessage
		return d.Decode(&skipped)
	})
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", w.kind.plural, err)
	}
	return out, nil
}

// List is ListWithContext for callers that have no context.
func (w *wire) List(o metav1.ListOptions) (runtime.Object, error) {
	return w.ListWithContext(context.Background(), o)
}

// Watch is WatchWithContext for callers that have no context.
func (w *wire) Watch(o metav1.ListOptions) (watch.Interface, error) {
	return w.WatchWithContext(context.Background(), o)
}

// WatchWithContext opens a stream of events.
func (w *wire) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	ctx, stop := context.WithCancel(ctx)
	body, err := w.request(o).Param("watch", "true").Stream(ctx)
	if err != nil {
		stop()
		return nil, err
	}
	s := &stream{stop: stop, events: make(chan watch.Event)}
	go s.read(ctx, body, w)
	return s, nil
}

// stream is an open watch.
type stream struct {
	stop   context.CancelFunc
	once   sync.Once
	events chan watch.Event
}

// Stop ends the stream; the channel of its events is closed soon after.
func (s *stream) Stop() { s.once.Do(s.stop) }

// ResultChan returns the channel of events.
func (s *stream) ResultChan() <-chan watch.Event { return s.events }

func (s *stream) read(ctx context.Context, body io.ReadCloser, w *wire) {
	defer close(s.events)
	defer s.Stop()
	defer body.Close()
	d := json.NewDecoder(body)
	for {
		var frame struct {
			Type   watch.EventType `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		if d.Decode(&frame) != nil {
			return // the reflector begins again where this stream ended
		}
		select {
		case s.events <- w.event(frame.Type, frame.Object):
		case <-ctx.Done():
			return
		}
	}
}

func (w *wire) event(typ watch.EventType, raw json.RawMessage) watch.Event {
	fail := func(err error) watch.Event {
		status := apierrors.NewGenericServerResponse(http.StatusInternalServerError, "watch",
			schema.GroupResource{Group: w.kind.group, Resource: w.kind.plural}, "", err.Error(), 0, true).Status()
		return watch.Event{Type: watch.Error, Object: &status}
	}
	switch typ {
	case watch.Error:
		status := &metav1.Status{}
		if err := json.Unmarshal(raw, status); err != nil {
			return fail(err)
		}
		return watch.Event{Type: typ, Object: status}
	case watch.Bookmark:
		var h head
		if err := json.Unmarshal(raw, &h); err != nil {
			return fail(err)
		}
		return watch.Event{Type: typ, Object: &item{resourceVersion: h.Metadata.ResourceVersion, annotations: h.Metadata.Annotations}}
	}
	i, err := w.kind.decode(raw, w.manager)
	if err != nil {
		return fail(err)
	}
	return watch.Event{Type: typ, Object: i}
}

// eachField calls do at the value of every field of an object.
func eachField(d *json.Decoder, do func(name string) error) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		return fmt.Errorf("%v where an object was expected", t)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		if err := do(name.(string)); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// eachElement calls do with every element of an array, or of null.
func eachElement(d *json.Decoder, do func(json.RawMessage) error) error {
	t, err := d.Token()
	if err != nil || t == nil {
		return err
	}
	if t != json.Delim('[') {
		return fmt.Errorf("%v where a list was expected", t)
	}
	for d.More() {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		if err := do(raw); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}
