package ca

// CachedLeaves counts what is kept.
func CachedLeaves(c *CA) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.leaves)
}
