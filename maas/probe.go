package maas

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	kserve "github.com/egret-gateway/egret/api/kserve/v1alpha1"
	api "github.com/egret-gateway/egret/api/maas"
)

const (
	probesAtOnce = 10
	probeTries   = 4
	probeWait    = 100 * time.Millisecond // before the second try, then doubled
	probeJitter  = 0.1                    // of the wait, at most
	probeWithin  = 5 * time.Second        // each try
	maxList      = 4 << 20                // bytes of a model's own list
)

// served is an entry of a model's own GET /v1/models.
type served struct {
	ID      string `json:"id"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

// localModels asks every attached model whether it lets the token in. The
// answers are listed by namespace and name, not in the order they came in as
// the reference does, so that the first entry is the same every time.
func (s *Server) localModels(ctx context.Context, c *catalog, token string) []api.Model {
	found := make([]*api.Model, len(c.services))
	var group errgroup.Group
	group.SetLimit(probesAtOnce)
	for i, svc := range c.services {
		if s.attached(c, svc) {
			group.Go(func() error {
				found[i] = s.localModel(ctx, svc, token)
				return nil
			})
		}
	}
	_ = group.Wait() // no probe returns an error
	var list []api.Model
	for _, m := range found {
		if m != nil {
			list = append(list, *m)
		}
	}
	return list
}

// localModel returns the list entry of a model, or nil when none of its
// addresses lets the token in or it serves nothing.
func (s *Server) localModel(ctx context.Context, svc *kserve.LLMInferenceService, token string) *api.Model {
	for _, address := range addresses(svc) {
		list, granted, err := s.Prober.ask(ctx, address, token, publicName(svc))
		if err != nil {
			s.log().Warn("a model does not answer and is left out of the list", "service", svc.Namespace+"/"+svc.Name,
				"endpoint", address, "error", err)
		}
		if !granted {
			continue
		}
		if len(list) == 0 {
			return nil
		}
		m := &api.Model{
			ID: list[0].ID, Object: "model", URL: address, Ready: ready(svc), Details: details(svc),
			Created: list[0].Created, OwnedBy: cmp.Or(list[0].OwnedBy, svc.Namespace),
		}
		if made := svc.CreationTimestamp; m.Created == 0 && !made.IsZero() {
			m.Created = made.Unix()
		}
		for _, alias := range list[1:] {
			m.Aliases = append(m.Aliases, alias.ID)
		}
		return m
	}
	return nil
}

// ask probes one address, up to four times. What is neither a yes nor a no is
// an error; it counts as a no.
func (p *Prober) ask(ctx context.Context, address, token, name string) (list []served, granted bool, err error) {
	wait := probeWait
	for try := 1; ; try++ {
		var final bool
		list, final, err = p.once(ctx, address, token, name)
		if final || try == probeTries {
			return list, final && list != nil, err
		}
		timer := time.NewTimer(wait + time.Duration(rand.Float64()*probeJitter*float64(wait)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, false, err
		case <-timer.C:
			wait *= 2
		}
	}
}

// once probes one time. final says that the answer is a yes (list is not nil)
// or a no; otherwise err says why it is neither.
func (p *Prober) once(ctx context.Context, address, token, name string) (list []served, final bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(address, "/")+"/v1/models", nil)
	if err != nil {
		return nil, true, err
	}
	if scheme := req.URL.Scheme; scheme != "http" && scheme != "https" {
		return nil, true, errors.New("its address is neither http nor https")
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := p.send(req)
	if err != nil {
		return nil, false, err
	}
	defer resp.Body.Close()
	switch code := resp.StatusCode; {
	case code/100 == 2:
		list, err := readList(resp.Body)
		return list, err == nil, err
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusNotFound:
		return nil, true, nil
	case code == http.StatusMethodNotAllowed:
		return []served{{ID: name}}, true, nil
	default:
		return nil, false, fmt.Errorf("it answered %d", code)
	}
}

func readList(body io.Reader) ([]served, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxList+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxList {
		return nil, fmt.Errorf("its model list is larger than %d bytes", maxList)
	}
	answer := struct {
		Data []served `json:"data"`
	}{}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("its model list is not readable: %w", err)
	}
	if answer.Data == nil {
		return []served{}, nil
	}
	return answer.Data, nil
}
