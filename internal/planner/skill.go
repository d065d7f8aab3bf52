package planner

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Limits of a skill. Whoever needs more means a workspace.
const (
	maxSkillBytes = 32 << 20
	maxSkillFiles = 4096
)

// checkSkill looks at a skill's folder before anything is made: it says what it is for, and is not
// a link to something large. What is no file, folder or link is left out when it is copied.
func checkSkill(dir string) error {
	if info, err := os.Stat(filepath.Join(dir, "SKILL.md")); err != nil || !info.Mode().IsRegular() {
		return errors.New("it has no SKILL.md")
	}
	files, size := 0, int64(0)
	return filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if files++; files > maxSkillFiles {
			return fmt.Errorf("it has more than %d files", maxSkillFiles)
		}
		if e.Type().IsRegular() {
			info, err := e.Info()
			if err != nil {
				return err
			}
			size += info.Size()
		}
		if size > maxSkillBytes {
			return fmt.Errorf("it has more than %d MB", maxSkillBytes>>20)
		}
		return nil
	})
}
