package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/egret-gateway/egret/store"
)

const (
	connectWithin = 10 * time.Second // Open's patience with a server that is away or starting
	dialWithin    = 3 * time.Second  // one attempt to connect; connect_timeout in the URL wins
	callWithin    = 15 * time.Second // one call of the store, whatever it waits for
	conns         = 8                // connections of the pool; pool_max_conns in the URL wins
	idle          = 2                // of them kept open for who comes next, as a login takes a while; pool_min_idle_conns in the URL wins
)

// Store is a PostgreSQL database. It implements store.Store.
type Store struct {
	pool *pgxpool.Pool
	name string // of the database and its host, for messages
}

var _ store.Store = (*Store)(nil)

// Open connects to the database at an address, such as
//
//	postgres://user:password@host:5432/database?sslmode=verify-full
//
// and brings its tables up to date. Several replicas may do so at once. It
// waits 10 s at most for a server that is away, and not at all for one that
// refuses the user or has no such database; a migration then takes the time it
// needs. One that is away is store.ErrAway. Open refuses a database that a newer version of the program has
// written. Errors name host and database, never the password.
func Open(ctx context.Context, address string) (*Store, error) {
	config, err := parse(address)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	c := config.ConnConfig
	name := c.Database + " on " + net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", name, err)
	}
	s := &Store{pool: pool, name: name}
	if err := s.connect(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("open database %s: %w", name, err)
	}
	if err := s.migrate(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("open database %s: %w", name, err)
	}
	return s, nil
}

// Close ends all connections, once the calls under way are over.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// parse reads an address. What it does not say gets bounds: no statement, no
// wait for a lock and no forgotten transaction lasts.
func parse(address string) (*pgxpool.Config, error) {
	const form = "write postgres://user:password@host:5432/database"
	u, err := url.Parse(address)
	if err != nil { // its text would show the address
		return nil, errors.New("its address is not a URL; " + form + ", with other characters than letters and digits of the password as %XX")
	}
	if u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("its address must begin with postgres:// or postgresql://; " + form)
	}
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, errors.New(redact(err.Error(), u))
	}
	if !u.Query().Has("pool_max_conns") {
		config.MaxConns = conns
	}
	if !u.Query().Has("pool_min_idle_conns") {
		config.MinIdleConns = min(idle, config.MaxConns)
	}
	if !u.Query().Has("connect_timeout") {
		config.ConnConfig.ConnectTimeout = dialWithin
	}
	for name, value := range map[string]string{
		"application_name": "egret", "statement_timeout": "10s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "30s",
	} {
		if _, set := config.ConnConfig.RuntimeParams[name]; !set {
			config.ConnConfig.RuntimeParams[name] = value
		}
	}
	return config, nil
}

// redact takes the password of an address out of a message.
func redact(text string, u *url.URL) string {
	passwords := []string{u.Query().Get("password")}
	if p, ok := u.User.Password(); ok {
		passwords = append(passwords, p, url.QueryEscape(p), url.PathEscape(p))
	}
	for _, p := range passwords {
		if p != "" {
			text = strings.ReplaceAll(text, p, "***")
		}
	}
	return text
}

// connect waits until the server answers.
func (s *Store) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	var last error
	for {
		err := s.pool.Ping(ctx)
		if err == nil {
			return nil
		}
		var refused *pgconn.PgError
		if errors.As(err, &refused) && !passing(err) {
			return err
		}
		if last == nil || ctx.Err() == nil {
			last = err // what the end of the wait interrupts says less
		}
		if !rest(ctx, 250*time.Millisecond) {
			return fmt.Errorf("it does not answer; check that it runs and that its address is right: %w: %w", store.ErrAway, last)
		}
	}
}
