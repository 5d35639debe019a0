package golden

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

// Frame is one remoting frame and what is in it.
type Frame struct {
	Conn, Seq      int    // connection, and the frame's number on it
	T              int64  // milliseconds since the recording began
	Dir            string // c2s or s2c
	Kind           string // request, oneway or response
	Code           int32
	Name           string
	RequestCode    int32  // of a response
	RequestName    string // of a response
	RequestSeq     int    // of a response
	ResponseSeq    int    // of a request
	Opaque, Flag   int32
	Serialize      string // JSON or ROCKETMQ
	Language       string
	Version        int32
	Remark         *string
	Ext            map[string]string
	HeaderKeys     []string // their order in a JSON header
	HeaderLen      int
	BodyLen        int
	BodyText       *string // of short JSON bodies
	FrameLen       int
	FrameBytes     []byte `json:"frame"` // the whole frame, length prefix included
	FrameTruncated bool   // FrameBytes is cut; FrameSHA256 is that of the whole
	FrameSHA256    string
}

// FrameNames lists the recordings: run, listener and scenario, joined by dots.
func FrameNames(tb testing.TB) []string {
	tb.Helper()
	var names []string
	untar(tb, "frames.tar.gz", func(h *tar.Header, _ io.Reader) error {
		names = append(names, strings.TrimSuffix(h.Name, ".jsonl"))
		return nil
	})
	slices.Sort(names)
	return names
}

// Frames returns the frames of one recording, for instance json.client-broker.admin.
func Frames(tb testing.TB, name string) []Frame {
	tb.Helper()
	frames, ok := AllFrames(tb)[name]
	if !ok {
		tb.Fatalf("no frames called %s", name)
	}
	return frames
}

// AllFrames returns the frames of every recording, by name.
func AllFrames(tb testing.TB) map[string][]Frame {
	tb.Helper()
	all := make(map[string][]Frame)
	untar(tb, "frames.tar.gz", func(h *tar.Header, content io.Reader) error {
		name := strings.TrimSuffix(h.Name, ".jsonl")
		for dec := json.NewDecoder(content); dec.More(); {
			var f Frame
			if err := dec.Decode(&f); err != nil {
				return fmt.Errorf("%s: %w", h.Name, err)
			}
			all[name] = append(all[name], f)
		}
		return nil
	})
	return all
}

// Codes returns the JSON that counts the frames of each code and lists the request codes of the jars
// that no frame has.
func Codes(tb testing.TB) []byte {
	tb.Helper()
	return gunzip(tb, "codes.json.gz")
}
