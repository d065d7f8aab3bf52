package pull

import "syscall"

// nonblock keeps the opening of a pipe, put in the place of a file, from waiting for its other end.
const nonblock = syscall.O_NONBLOCK
