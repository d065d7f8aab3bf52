package fence

// Single guards, so that a test sees each one hold without the others.
var (
	Landlocked = landlocked
	Uncapable  = uncapable
	Filtered   = filtered
)
