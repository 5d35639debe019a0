package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rocketlog/rocketlog/internal/properties"
)

func TestKeptSettingsNeedNoFile(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "config"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Keep(Kept(root))([]properties.Entry{{Key: "traceOn", Value: "false"}}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(Kept(root))
	if err != nil || string(data) != "traceOn=false\n" {
		t.Errorf("the file is %q, %v", data, err)
	}
}
