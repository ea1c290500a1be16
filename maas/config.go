package maas

// Config is what the API is told once, at its start.
type Config struct {
	Instance         string // prefix of tier namespaces and of the audience; the Gateway's name unless given
	Namespace        string // where the two ConfigMaps are
	GatewayName      string // models that hang on this Gateway are listed
	GatewayNamespace string
	Debug            bool // debug log, and any web page may call the API
}
