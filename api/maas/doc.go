// Package maas holds the bodies of the MaaS REST API as they travel: what
// POST /v1/tokens answers, what an API key looks like, an entry of the model
// list, a tier. The server (room maas) writes them and the client commands
// read them, so a field is named in one place.
//
// The order of the fields is the order on the wire, which clients and the
// quickstart's sample output show. Nothing here has behaviour.
package maas
