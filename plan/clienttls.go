package plan

// Secrets names the plan Secrets that TLS to a backend is made of; none for nil.
func (c *ClientTLS) Secrets() []string {
	if c == nil {
		return nil
	}
	names := append(append([]string{}, c.CAs...), c.CRLs...)
	if c.Identity != "" {
		names = append(names, c.Identity)
	}
	return names
}

// strict reports whether something is asked for that planes of Format 2 would
// leave out.
func (c *ClientTLS) strict() bool {
	return c != nil && (len(c.CRLs) > 0 || len(c.Pins) > 0 || c.MinVersion != "")
}
