package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	pkgprofile "github.com/pkg/profile"
)

// profiles are what can be profiled.
var profiles = map[string]func(*pkgprofile.Profile){
	"cpu":       pkgprofile.CPUProfile,
	"mem":       pkgprofile.MemProfile,
	"mutex":     pkgprofile.MutexProfile,
	"block":     pkgprofile.BlockProfile,
	"trace":     pkgprofile.TraceProfile,
	"goroutine": pkgprofile.GoroutineProfile,
}

// startProfile begins the profile that KIND[=DIR] names, if any. The signals stay the daemon's: the profile is written
// when the broker has stopped.
func startProfile(spec string) (stop func(), err error) {
	if spec == "" {
		return func() {}, nil
	}
	kind, dir, _ := strings.Cut(spec, "=")
	what := profiles[kind]
	if what == nil {
		return nil, fmt.Errorf("there is no profile %q: it is one of %s", kind, strings.Join(slices.Sorted(maps.Keys(profiles)), ", "))
	}
	if dir == "" {
		dir = "."
	}
	return pkgprofile.Start(what, pkgprofile.ProfilePath(dir), pkgprofile.NoShutdownHook, pkgprofile.Quiet).Stop, nil
}
