package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/egret-gateway/egret/manifests/crds"
)

// everything is what Resources returns.
var everything = []string{
	"gateway.networking.k8s.io/gatewayclasses",
	"gateway.networking.k8s.io/gateways",
	"gateway.networking.k8s.io/listenersets",
	"gateway.networking.k8s.io/httproutes",
	"gateway.networking.k8s.io/grpcroutes",
	"gateway.networking.k8s.io/backendtlspolicies",
	"gateway.networking.k8s.io/referencegrants",
	"gateway.networking.x-k8s.io/xbackends",
	"ainetworking.prototype.x-k8s.io/xbackenddestinations",
	"ainetworking.prototype.x-k8s.io/backends",
	"kuadrant.io/authpolicies",
	"kuadrant.io/ratelimitpolicies",
	"kuadrant.io/tokenratelimitpolicies",
	"serving.kserve.io/llminferenceservices",
}

// Resources returns the custom resources that Egret reads, as group/plural.
func Resources() []string { return append([]string(nil), everything...) }

const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

// Install creates the definitions of resources such as
// kuadrant.io/authpolicies, and returns when they are served.
func (s *Server) Install(ctx context.Context, resources ...string) error {
	for _, r := range resources {
		group, plural, _ := strings.Cut(r, "/")
		crd, err := crds.JSON(group, plural)
		if err != nil {
			return err
		}
		if _, err := s.Do(ctx, http.MethodPost, definitions, crd); err != nil {
			return fmt.Errorf("install %s: %w", r, err)
		}
	}
	for _, r := range resources {
		group, plural, _ := strings.Cut(r, "/")
		crd, err := crds.JSON(group, plural)
		if err != nil {
			return err
		}
		if err := s.await(ctx, func() error { return s.listed(ctx, group, plural, crd) }); err != nil {
			return fmt.Errorf("install %s: %w", r, err)
		}
	}
	return nil
}

// listed reports whether every version of a definition is served.
func (s *Server) listed(ctx context.Context, group, plural string, crd []byte) error {
	var d struct {
		Spec struct {
			Versions []struct {
				Name   string
				Served bool
			}
		}
	}
	if err := json.Unmarshal(crd, &d); err != nil {
		return err
	}
	for _, v := range d.Spec.Versions {
		if !v.Served {
			continue
		}
		if _, err := s.Do(ctx, http.MethodGet, "/apis/"+group+"/"+v.Name+"/"+plural+"?limit=1", nil); err != nil {
			return err
		}
	}
	return nil
}

// Uninstall deletes a definition and with it all objects of the resource, and
// returns when it is not served any more.
func (s *Server) Uninstall(ctx context.Context, resource string) error {
	group, plural, _ := strings.Cut(resource, "/")
	path := definitions + "/" + plural + "." + group
	if _, err := s.Do(ctx, http.MethodDelete, path, nil); err != nil {
		return err
	}
	return s.await(ctx, func() error {
		if _, err := s.Do(ctx, http.MethodGet, path, nil); err == nil {
			return errors.New(resource + " is there still")
		}
		return nil
	})
}

// Do makes a request as one who may do everything. The body is JSON or YAML;
// with PATCH it is a merge patch. An answer other than 2xx is an error.
func (s *Server) Do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	data, err := yaml.YAMLToJSON(body)
	if err != nil {
		return nil, err
	}
	client, err := rest.HTTPClientFor(s.Config()) // which keeps its connections
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "https://"+s.address+path, strings.NewReader(string(data)))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		req.Header.Set("Content-Type", "application/merge-patch+json")
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, out)
	}
	return out, err
}
