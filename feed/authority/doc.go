// Package authority is the certificate that the controller shows to data
// planes: a certificate authority of its own, kept where the controller keeps
// it, and under it a server certificate that lives in memory and is renewed in
// time.
//
//	New or Parse ─► Authority ─┬─► Bytes  (Secret of the controller)
//	                           ├─► CA     (ConfigMap in every fleet)
//	                           └─► TLS    (the xDS server)
package authority
