// Package service starts the servers that Egret keeps its state in, the real
// ones, for tests: redis-server or valkey-server, and PostgreSQL.
//
//	Redis(t), Valkey(t), Postgres(t) ─► *Server{URL}
//	Kill, Start: as a crash and a restart; Freeze, Thaw: as a network that
//	takes packets and answers none
//
// The programs are those of the distribution's packages. A test that finds
// one missing fails and names the command that installs it: a test that
// skips itself proves nothing. Every server listens on loopback only, keeps
// its files in the test's own folder and ends with the test. PostgreSQL
// refuses to run as root; started by root it runs as the user "postgres",
// which its package makes.
package service
