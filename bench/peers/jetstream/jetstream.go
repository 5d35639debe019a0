// Package jetstream measures NATS JetStream with its file store: a server inside this process, a stream of
// one subject, and clients connected to it without a network. CPU time is of both. Its file store has no
// door of its own.
//
// With sync the server syncs before it answers (sync_interval: always) and each writer waits for
// the answer to one message before the next. Without, a writer has up to 1,024 unanswered: waiting for each would
// measure the way there and back, and JetStream's own benchmark does the same.
package jetstream

import (
	"errors"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"context"

	"github.com/rocketlog/rocketlog/bench/peers/measure"
	"github.com/rocketlog/rocketlog/bench/peers/writers"
)

const (
	subject      = "messages"
	readyTimeout = 20 * time.Second
	unanswered   = 1024 // messages of all writers
)

// Run measures a server whose store is in a directory, which it makes.
func Run(dir string, sync bool, c writers.Config) (measure.Result, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: "peer", DontListen: true, JetStream: true, StoreDir: dir, SyncAlways: sync, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return measure.Result{}, err
	}
	go s.Start()
	defer s.Shutdown()
	if !s.ReadyForConnections(readyTimeout) {
		return measure.Result{}, errors.New("the server does not get ready")
	}
	var clients []*nats.Conn
	defer func() {
		for _, nc := range clients {
			nc.Close()
		}
	}()
	streams := make([]jetstream.JetStream, c.Writers)
	for i := range streams {
		nc, err := nats.Connect("", nats.InProcessServer(s))
		if err != nil {
			return measure.Result{}, err
		}
		clients = append(clients, nc)
		if streams[i], err = jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(max(1, unanswered/c.Writers))); err != nil {
			return measure.Result{}, err
		}
	}
	stream := jetstream.StreamConfig{Name: "peer", Subjects: []string{subject}, Storage: jetstream.FileStorage}
	if _, err := streams[0].CreateStream(context.Background(), stream); err != nil {
		return measure.Result{}, err
	}
	r, err := writers.Run(c, func(id int) func() error {
		data := writers.Entry(c.EntrySize)
		if sync {
			return func() error {
				_, err := streams[id].Publish(context.Background(), subject, data)
				return err
			}
		}
		return func() error {
			_, err := streams[id].PublishAsync(subject, data)
			return err
		}
	})
	if !sync { // a put is answered long after it returned
		r.P50, r.P99, r.P999, r.Max = 0, 0, 0, 0
	}
	return r, err
}
