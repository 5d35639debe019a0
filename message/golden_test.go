package message_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/rocketlog/rocketlog/internal/golden"
	"github.com/rocketlog/rocketlog/message"
)

// records calls fn with every record of a store's commit log, in order, as a reader of the log finds
// them: a blank leads to the next file, anything else that is no record ends the log.
func records(t *testing.T, root string, m *golden.StoreManifest, fn func(r message.Record)) {
	t.Helper()
	for _, file := range m.CommitLog.Files {
		b, err := os.ReadFile(filepath.Join(root, "commitlog", file.Name))
		if err != nil {
			t.Fatal(err)
		}
		for {
			r, err := message.ParseRecord(b)
			if errors.Is(err, message.ErrBlank) {
				break
			}
			if err != nil {
				return
			}
			fn(r)
			b = b[r.Size():]
		}
	}
}

func TestGoldenStores(t *testing.T) {
	for _, store := range golden.Stores() {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			manifest := golden.Manifest(t, store)
			n := 0
			var m message.Message
			records(t, golden.Store(t, store), manifest, func(r message.Record) {
				if n < len(manifest.Messages) {
					compareRecord(t, r, &manifest.Messages[n])
				}
				r.Decode(&m)
				if m.RecordSize() != r.Size() {
					t.Fatalf("message at %d needs %d bytes, has %d", r.PhyOffset(), m.RecordSize(), r.Size())
				}
				again := make([]byte, m.RecordSize())
				message.EncodeRecord(again, &m, message.BodyCRC(m.Body))
				if !bytes.Equal(again, r) {
					t.Fatalf("message at %d encodes to\n%X, was\n%X", r.PhyOffset(), again, []byte(r))
				}
				n++
			})
			if n != len(manifest.Messages) {
				t.Fatalf("%d records, want %d", n, len(manifest.Messages))
			}
		})
	}
}

// compareRecord compares every field of a record with what the manifest says.
func compareRecord(t *testing.T, r message.Record, want *golden.Message) {
	t.Helper()
	magic := map[uint32]string{message.MagicV1: "v1", message.MagicV2: "v2"}[r.Magic()]
	sum := sha256.Sum256(r.Body())
	got := golden.Message{
		Topic: string(r.Topic()), QueueID: r.QueueID(), QueueOffset: int64(r.QueueOffset()),
		Offset: int64(r.PhyOffset()), Size: r.Size(), Magic: magic,
		MsgID:   string(message.AppendOffsetID(nil, r.StoreHost(), r.PhyOffset())),
		SysFlag: int32(r.SysFlag()), Flag: r.Flag(),
		BornTimestamp: r.BornTimestamp(), StoreTimestamp: r.StoreTimestamp(),
		BornHost: r.BornHost().String(), StoreHost: r.StoreHost().String(),
		ReconsumeTimes: r.ReconsumeTimes(), PreparedTransactionOffset: int64(r.PreparedTransactionOffset()),
		BodySize: len(r.Body()), BodyCRC: r.BodyCRC(), BodySHA256: hex.EncodeToString(sum[:]),
	}
	plain := *want
	plain.UniqKey, plain.Tags, plain.Keys, plain.CqTagsCode, plain.Properties = nil, nil, nil, nil, nil
	plain.BornHost, plain.StoreHost = hostText(plain.BornHost), hostText(plain.StoreHost)
	if !reflect.DeepEqual(got, plain) {
		t.Fatalf("record at %d is\n%+v, want\n%+v", want.Offset, got, plain)
	}
	if !r.VerifyBody() {
		t.Fatalf("body at %d has another checksum", want.Offset)
	}
	props := make(map[string]string)
	for name, value := range r.Properties().All() {
		props[string(name)] = string(value)
	}
	if !maps.Equal(props, want.Properties) {
		t.Fatalf("properties at %d are %q, want %q", want.Offset, props, want.Properties)
	}
	d := r.Properties().Dispatch()
	for name, pair := range map[string]struct {
		got  []byte
		want *string
	}{"tags": {d.Tags, want.Tags}, "keys": {d.Keys, want.Keys}, "unique key": {d.UniqueKey, want.UniqKey}} {
		if (pair.got == nil) != (pair.want == nil) || pair.want != nil && string(pair.got) != *pair.want {
			t.Fatalf("%s at %d are %q", name, want.Offset, pair.got)
		}
	}
	// In the schedule topic the entry holds a time, with queue extensions an address.
	if c := want.CqTagsCode; c != nil && want.Topic != message.ScheduleTopic && *c >= -1<<31 && message.TagsCode(d.Tags) != *c {
		t.Fatalf("tags code at %d is %d, want %d", want.Offset, message.TagsCode(d.Tags), *c)
	}
	_, wantCRC := want.Properties[message.PropertyCRC32]
	if present, ok := r.VerifyCRCProperty(); present != wantCRC || ok != wantCRC {
		t.Fatalf("checksum property at %d: present %v, right %v", want.Offset, present, ok)
	}
}

// hostText writes a host the way netip does: Java does not shorten IPv6 addresses.
func hostText(host string) string { return netip.MustParseAddrPort(host).String() }
