// Package token is how a data plane shows the controller who it is, and knows
// the controller: a projected ServiceAccount token and a CA, both in files that
// are replaced while the program runs.
//
// In: gRPC credentials from the two files. Out: how the token is verified
// (package pods), where the CA comes from (package authority).
package token
