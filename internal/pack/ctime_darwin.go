package pack

import (
	"syscall"
	"time"
)

// changeTime is when the inode last changed.
func changeTime(st *syscall.Stat_t) time.Time { return time.Unix(st.Ctimespec.Unix()) }
