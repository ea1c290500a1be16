package maas

import (
	"encoding"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/egret-gateway/egret/plan"
	"github.com/egret-gateway/egret/source"
)

// Config is what the API is told once, at its start. The names of its flags
// and variables are those that manifests of MaaS use.
type Config struct {
	Instance         string // prefix of tier namespaces and of the audience
	Namespace        string // where the two ConfigMaps are
	GatewayName      string // models that hang on this Gateway are listed
	GatewayNamespace string

	Address string // to listen at
	TLS     TLS
	Storage Storage
	// DataPath is the SQLite file of StorageDisk.
	DataPath string
	// DBURL leads to the database of StorageExternal.
	DBURL ConnectionURL
	// DBConns is the largest number of connections to it, and DBLifetime how
	// long one is used; 0 leaves both to the address and the driver. They are
	// DB_MAX_OPEN_CONNS and DB_CONN_MAX_LIFETIME_SECONDS, of which what is no
	// positive number counts as not set, as in the reference.
	// DB_MAX_IDLE_CONNS has no counterpart: idle connections end by their age.
	DBConns    int
	DBLifetime time.Duration

	// ChainLimit is how long after the last mint with a person's own
	// credential MaaS tokens may be exchanged for new ones; 24 h by default.
	ChainLimit time.Duration
	// ProbeVerify says whose certificates are verified when local models are
	// asked; see Verify.
	ProbeVerify Verify

	// Proof says what a caller of the listener has to prove, and
	// GatewayAccounts whose proof counts; none means the ServiceAccounts that
	// the Gateway above gets from its fleet.
	Proof           Proof
	GatewayAccounts Accounts

	// GatewayCertificate is the Secret of a certificate, in the Gateway's
	// namespace, that is made with a self-signed one when there is none; empty
	// makes none. GatewayHost is the name that is in it besides the Gateway's
	// own.
	GatewayCertificate, GatewayHost string

	// Kubeconfig leads to the API server; empty means the cluster around the
	// pod.
	Kubeconfig string

	Debug bool // debug log, and any web page may call the API
}

// TLS says how the API's own listener is secured. It is not secured when the
// certificate is empty and SelfSigned is false.
type TLS struct {
	Cert, Key  string // files
	SelfSigned bool
	MinVersion string // "1.2" or "1.3"
}

// On reports whether the listener is secured.
func (t TLS) On() bool { return t.SelfSigned || t.Cert != "" }

// Storage says where metadata of API keys is kept.
type Storage string

// Values of Storage.
const (
	StorageMemory   Storage = "in-memory" // lost at the end of the process
	StorageDisk     Storage = "disk"      // a SQLite file
	StorageExternal Storage = "external"  // PostgreSQL
)

// ConnectionURL is a database address, which may hold a password; printed or
// logged it shows none of it.
type ConnectionURL string

// String implements fmt.Stringer.
func (u ConnectionURL) String() string {
	if u == "" {
		return ""
	}
	return "[redacted]"
}

// GoString implements fmt.GoStringer.
func (u ConnectionURL) GoString() string { return strconv.Quote(u.String()) }

// MarshalText implements encoding.TextMarshaler.
func (u ConnectionURL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// DefaultConfig is the configuration without flags and variables.
func DefaultConfig() Config {
	return Config{
		Instance: "maas-default-gateway", Namespace: "maas-api",
		GatewayName: "maas-default-gateway", GatewayNamespace: "openshift-ingress",
		Address: ":8080", TLS: TLS{MinVersion: "1.2"},
		Storage: StorageMemory, DataPath: "/data/maas-api.db", ChainLimit: 24 * time.Hour,
	}
}

// options are the raw settings, before they are weighed against each other.
type options struct {
	Config
	secure        bool
	storage, port string
	wrong         error // in variables that the reference does not have
}

// ParseConfig reads flags and environment variables; flags win, except that
// TLS_MIN_VERSION wins over its flag as it does in the reference. getenv
// returns "" for a variable that is not set. usage gets the text of --help,
// which ends in flag.ErrHelp.
func ParseConfig(args []string, getenv func(string) string, usage io.Writer, log *slog.Logger) (Config, error) {
	o := fromEnv(getenv)
	flags := o.flags(usage)
	if err := flags.Parse(args); err != nil {
		return Config{}, err
	}
	if flags.NArg() > 0 {
		return Config{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	flags.Visit(func(f *flag.Flag) {
		if f.Name == "port" {
			log.Warn("--port is deprecated and switches TLS off; use --address", "port", f.Value.String())
		}
	})
	if v := getenv("TLS_MIN_VERSION"); v != "" {
		o.TLS.MinVersion = v
	}
	return o.settle()
}

func fromEnv(getenv func(string) string) *options {
	text := func(name, byDefault string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return byDefault
	}
	truth := func(name string) bool {
		v, err := strconv.ParseBool(getenv(name))
		return err == nil && v
	}
	o := &options{Config: DefaultConfig()}
	o.GatewayName = text("GATEWAY_NAME", o.GatewayName)
	o.GatewayNamespace = text("GATEWAY_NAMESPACE", o.GatewayNamespace)
	o.Instance = text("INSTANCE_NAME", o.GatewayName)
	o.Namespace = text("NAMESPACE", o.Namespace)
	o.Address = getenv("ADDRESS")
	o.port = getenv("PORT")
	o.secure = truth("SECURE")
	o.TLS = TLS{Cert: getenv("TLS_CERT"), Key: getenv("TLS_KEY"), SelfSigned: truth("TLS_SELF_SIGNED"), MinVersion: "1.2"}
	o.Debug = truth("DEBUG_MODE")
	o.GatewayCertificate, o.GatewayHost = getenv("GATEWAY_CERTIFICATE"), getenv("GATEWAY_HOST")
	o.Kubeconfig = getenv("KUBECONFIG")
	o.storage = getenv("STORAGE_MODE")
	if !slices.Contains([]Storage{StorageMemory, StorageDisk, StorageExternal}, Storage(o.storage)) {
		o.storage = string(StorageMemory)
	}
	o.DBURL = ConnectionURL(getenv("DB_CONNECTION_URL"))
	o.DBConns = positive(getenv("DB_MAX_OPEN_CONNS"))
	o.DBLifetime = time.Duration(positive(getenv("DB_CONN_MAX_LIFETIME_SECONDS"))) * time.Second
	o.DataPath = text("DATA_PATH", o.DataPath)
	if v := getenv("CHAIN_LIMIT"); v != "" {
		limit, err := time.ParseDuration(v)
		o.ChainLimit, o.wrong = limit, wrap("CHAIN_LIMIT", err)
	}
	o.wrong = errors.Join(o.wrong, readText(getenv, "PROBE_VERIFY", &o.ProbeVerify),
		readText(getenv, "GATEWAY_PROOF", &o.Proof), readText(getenv, "GATEWAY_ACCOUNTS", &o.GatewayAccounts))
	return o
}

// positive reads a count, 0 when it is none that makes sense.
func positive(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > 1<<20 {
		return 0
	}
	return n
}

// readText reads a variable unless it is not set.
func readText(getenv func(string) string, name string, into encoding.TextUnmarshaler) error {
	v := getenv(name)
	if v == "" {
		return nil
	}
	return wrap(name, into.UnmarshalText([]byte(v)))
}

// wrap says which variable an error is about.
func wrap(name string, err error) error {
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return err
}

func (o *options) flags(usage io.Writer) *flag.FlagSet {
	f := flag.NewFlagSet("maas", flag.ContinueOnError)
	f.SetOutput(usage)
	f.StringVar(&o.Instance, "name", o.Instance, "`instance`: prefix of tier namespaces and of the token audience")
	f.StringVar(&o.Namespace, "namespace", o.Namespace, "`namespace` of the tier and registry ConfigMaps")
	f.StringVar(&o.GatewayName, "gateway-name", o.GatewayName, "`name` of the Gateway whose models are listed")
	f.StringVar(&o.GatewayNamespace, "gateway-namespace", o.GatewayNamespace, "its `namespace`")
	f.StringVar(&o.Address, "address", o.Address, "`address` to listen at (default :8443 with TLS, :8080 without)")
	f.StringVar(&o.port, "port", o.port, "deprecated: `port` to listen at without TLS")
	f.BoolVar(&o.secure, "secure", o.secure, "serve TLS; needs a certificate or --tls-self-signed")
	f.StringVar(&o.TLS.Cert, "tls-cert", o.TLS.Cert, "certificate `file`")
	f.StringVar(&o.TLS.Key, "tls-key", o.TLS.Key, "key `file`")
	f.BoolVar(&o.TLS.SelfSigned, "tls-self-signed", o.TLS.SelfSigned, "make a certificate at the start")
	f.StringVar(&o.TLS.MinVersion, "tls-min-version", o.TLS.MinVersion, "oldest TLS `version`: 1.2 or 1.3")
	f.BoolVar(&o.Debug, "debug", o.Debug, "debug log, and CORS for every origin")
	f.StringVar(&o.storage, "storage", o.storage, "`mode`: in-memory, disk or external")
	f.Func("db-connection-url", "`URL` of the database of --storage=external", func(v string) error {
		o.DBURL = ConnectionURL(v)
		return nil
	})
	f.DurationVar(&o.ChainLimit, "chain-limit", o.ChainLimit,
		"how `long` MaaS tokens may be exchanged for new ones after a mint with one's own credential")
	f.TextVar(&o.ProbeVerify, "probe-verify", o.ProbeVerify,
		"`whose` certificates are verified when models are asked: outside (all but Services'), all or none")
	f.TextVar(&o.Proof, "gateway-proof", o.Proof,
		"`what` callers prove in header "+plan.ProofHeader+": token (of a gateway's ServiceAccount, for audience "+source.ProofAudience+") or none")
	f.TextVar(&o.GatewayAccounts, "gateway-accounts", o.GatewayAccounts,
		"`accounts` (namespace/name, with commas between) whose proof counts instead of those of the Gateway's fleet")
	f.StringVar(&o.GatewayCertificate, "gateway-certificate", o.GatewayCertificate,
		"`name` of a Secret in the Gateway's namespace that gets a self-signed certificate when it is missing")
	f.StringVar(&o.GatewayHost, "gateway-host", o.GatewayHost, "`host` that this certificate is for")
	f.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "`file` that leads to the API server (default: the cluster around the pod)")
	f.StringVar(&o.DataPath, "data-path", o.DataPath, "`file` of --storage=disk")
	return f
}

// settle weighs the settings against each other and names every mistake.
func (o *options) settle() (Config, error) {
	c := o.Config
	if c.TLS.Cert != "" {
		c.TLS.SelfSigned = false
	}
	if o.port != "" {
		c.TLS = TLS{MinVersion: c.TLS.MinVersion}
		o.secure = false
		if c.Address == "" {
			c.Address = ":" + o.port
		}
	}
	if c.Address == "" {
		c.Address = ":8080"
		if c.TLS.On() {
			c.Address = ":8443"
		}
	}
	c.Storage = Storage(o.storage)
	if c.Storage == "" {
		c.Storage = StorageMemory
	}
	var unsecured error
	if o.secure && !c.TLS.On() && c.TLS.Key == "" {
		unsecured = errors.New("--secure needs --tls-cert and --tls-key, or --tls-self-signed")
	}
	return c, errors.Join(o.wrong, unsecured, c.Check())
}

// Check returns everything that is wrong with the configuration, joined.
func (c Config) Check() error {
	var wrong []error
	refuse := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		refuse("--tls-cert and --tls-key go together: give both or neither")
	}
	if v := c.TLS.MinVersion; v != "1.2" && v != "1.3" {
		refuse("--tls-min-version is %q; 1.2 and 1.3 are known", v)
	}
	if c.ChainLimit <= 0 {
		refuse("--chain-limit is %v; it must be positive", c.ChainLimit)
	}
	for name, v := range map[string]string{
		"--name": c.Instance, "--namespace": c.Namespace,
		"--gateway-name": c.GatewayName, "--gateway-namespace": c.GatewayNamespace,
	} {
		if strings.TrimSpace(v) == "" {
			refuse("%s must not be empty", name)
		}
	}
	switch c.Storage {
	case StorageMemory:
	case StorageDisk:
		if c.DataPath == "" {
			refuse("--storage=disk needs --data-path, the file to keep API keys in")
		}
	case StorageExternal:
		if err := c.DBURL.check(); err != nil {
			wrong = append(wrong, err)
		}
	default:
		refuse("--storage is %q; in-memory, disk and external are known", c.Storage)
	}
	slices.SortFunc(wrong, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(wrong...)
}

// check refuses what leads to no database that is known (acceptance maas 58).
func (u ConnectionURL) check() error {
	switch {
	case u == "":
		return errors.New("--storage=external needs --db-connection-url or DB_CONNECTION_URL, such as postgresql://user:password@host/database")
	case strings.HasPrefix(string(u), "postgresql://"), strings.HasPrefix(string(u), "postgres://"):
		return nil
	}
	return errors.New("--db-connection-url must begin with postgresql:// or postgres://; other databases are not known")
}
