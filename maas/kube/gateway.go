package kube

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/egret-gateway/egret/maas"
	"github.com/egret-gateway/egret/source"
)

// certificateAgain is how long a certificate of the Gateway may be missing
// before it is made anew.
const certificateAgain = time.Minute

// gatewayCertificate sees to it that the Gateway's HTTPS listener has a
// certificate, as installations of MaaS without one of their own do: a
// self-signed one, made when the Secret is missing. One that is there is
// neither read nor changed, for which the right to create is enough.
type gatewayCertificate struct {
	client client.Client
	config maas.Config
	log    *slog.Logger
	now    func() time.Time

	secret *corev1.Secret // what was made, to be used again when it is removed
	said   string         // the last mistake, so that it is logged once
}

// run makes the certificate now and whenever it is missing, until ctx ends.
func (g *gatewayCertificate) run(ctx context.Context) error {
	if g.config.GatewayCertificate == "" {
		return nil
	}
	again := time.NewTicker(certificateAgain)
	defer again.Stop()
	for {
		if err := g.ensure(ctx); err == nil {
			g.said = ""
		} else if ctx.Err() == nil && err.Error() != g.said {
			g.said = err.Error()
			g.log.Warn("the gateway's certificate cannot be made; put one in the Secret yourself, or HTTPS is not served where it is missing",
				"secret", g.config.GatewayNamespace+"/"+g.config.GatewayCertificate, "error", err)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// ensure makes the Secret unless it is there.
func (g *gatewayCertificate) ensure(ctx context.Context) error {
	if g.secret == nil {
		made, err := gatewaySecret(g.config, g.now())
		if err != nil {
			return err
		}
		g.secret = made
	}
	switch err := g.client.Create(ctx, g.secret.DeepCopy()); {
	case apierrors.IsAlreadyExists(err):
		return nil
	case err != nil:
		return err
	}
	g.log.Info("the gateway has a self-signed certificate", "secret", g.secret.Namespace+"/"+g.secret.Name, "names", gatewayNames(g.config))
	return nil
}

// gatewayNames are the host names that the certificate is for: the host that
// people use, where it is known, and the Service's.
func gatewayNames(c maas.Config) []string {
	service := source.ResourceName(source.Class{Controller: source.ControllerEgret}, c.GatewayNamespace, c.GatewayName) + "." + c.GatewayNamespace + ".svc"
	return []string{cmp.Or(c.GatewayHost, "localhost"), service, service + ".cluster.local"}
}

func gatewaySecret(c maas.Config, now time.Time) (*corev1.Secret, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{Organization: []string{c.GatewayName}},
		NotBefore: now.Add(-time.Minute), NotAfter: now.AddDate(selfYears, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, DNSNames: gatewayNames(c),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign the gateway's certificate for %v: %w", template.DNSNames, err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.GatewayNamespace, Name: c.GatewayCertificate,
			Labels: map[string]string{"app.kubernetes.io/part-of": "models-as-a-service"},
		},
		Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{
			corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
			corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		},
	}, nil
}
