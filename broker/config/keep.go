package config

import (
	"errors"
	"io/fs"
	"path/filepath"

	"github.com/rocketlog/rocketlog/internal/properties"
	"github.com/rocketlog/rocketlog/internal/vfs"
)

// Kept is where a broker that was given no config file keeps the settings that an administrator changed: beside its
// state, under root (StorePathRootDir). Such a broker's next start is to read it.
func Kept(root string) string { return filepath.Join(root, "config", "broker.properties") }

// Keep returns an Options.OnConfigChange that writes what is changed into the config file called name, and leaves
// the rest of the file as it is. The file need not be there.
func Keep(name string) func([]properties.Entry) error {
	return func(changes []properties.Entry) error {
		data, err := vfs.ReadFile(vfs.OS, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return vfs.WriteFileAtomic(vfs.OS, name, properties.Update(data, changes))
	}
}
