package docker

// Making holds what a start holds while it makes a bottle.
func Making(d *Driver) (func(), error) { return d.making() }

// GateSeccomp is the profile of the git gate's container.
func GateSeccomp() string { return gateSeccomp() }
