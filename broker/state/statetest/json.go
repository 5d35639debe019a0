package statetest

import (
	"fmt"
	"os"
	"reflect"
	"testing"

	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// JSON is what a state file on disk has.
func JSON(tb testing.TB, f state.File) map[string]any {
	tb.Helper()
	data, err := os.ReadFile(f.Name())
	if err != nil {
		tb.Fatal(err)
	}
	var v map[string]any
	if err := protocol.UnmarshalJSON(data, &v); err != nil {
		tb.Fatal(err)
	}
	return v
}

// Difference says where two contents first differ; nothing is the empty text.
func Difference(want, got any, path string) string {
	w, okW := want.(map[string]any)
	g, okG := got.(map[string]any)
	if !okW || !okG {
		if reflect.DeepEqual(want, got) {
			return ""
		}
		return fmt.Sprintf("%s: want %v, got %v", path, want, got)
	}
	for k, v := range w {
		if d := Difference(v, g[k], path+"/"+k); d != "" {
			return d
		}
	}
	for k, v := range g {
		if _, ok := w[k]; !ok {
			return fmt.Sprintf("%s/%s: %v is not wanted", path, k, v)
		}
	}
	return ""
}
