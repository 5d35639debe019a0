package broker

import (
	"errors"
	"log/slog"
	"sync"
	"time"
)

// A Host keeps a broker open whatever its role becomes. Nearly all that a broker does depends on its role: so a change of
// role is a stop and a start within the process, on the same ports, and goes the way that each start goes. While it lasts,
// for some tenths of a second, nobody is served; nothing can be acknowledged under the old role once that is over.
type Host struct {
	opts  Options
	ports listenPorts // where any will do
	log   *slog.Logger
	stop  chan struct{}
	done  sync.WaitGroup

	mu struct {
		sync.Mutex
		broker *Broker // nil while it is opened anew
		closed bool
	}
}

// reopenPause goes by after a broker could not be opened in its new role.
const reopenPause = time.Second

// OpenHost opens a broker; see Open.
func OpenHost(opts *Options) (*Host, error) {
	b, err := Open(opts)
	if err != nil {
		return nil, err
	}
	h := &Host{log: b.log, stop: make(chan struct{})}
	if opts != nil {
		h.opts = *opts
	} else {
		h.opts = *DefaultOptions()
	}
	h.ports = b.ports()
	h.mu.broker = b
	h.done.Add(1)
	go h.run(b)
	return h, nil
}

// Broker is the one that is open, nil between two roles.
func (h *Host) Broker() *Broker {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mu.broker
}

// run opens the broker anew when its role has changed.
func (h *Host) run(b *Broker) {
	defer h.done.Done()
	for b != nil && b.roles != nil {
		select {
		case <-h.stop:
			return
		case <-b.roles.changed:
		}
		h.mu.Lock()
		if h.mu.closed {
			h.mu.Unlock()
			return
		}
		h.mu.broker = nil
		h.mu.Unlock()
		began := time.Now()
		if err := b.Close(); err != nil {
			h.log.Warn("broker did not end cleanly before its change of role", "error", err)
		}
		b = h.reopen()
		h.log.Info("the broker has its new role", "took", time.Since(began))
	}
}

// reopen opens the broker, again and again if it must, and returns nil when the host closes.
func (h *Host) reopen() *Broker {
	for {
		b, err := openOn(&h.opts, h.ports)
		if err == nil {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.mu.closed {
				err = b.Close()
				h.log.Info("broker closed in the midst of its change of role", "error", err)
				return nil
			}
			h.mu.broker = b
			return b
		}
		h.log.Error("broker cannot be opened in its new role; tried again", "error", err)
		select {
		case <-h.stop:
			return nil
		case <-time.After(reopenPause):
		}
	}
}

// Close closes the broker.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.mu.closed {
		h.mu.Unlock()
		return errors.New("broker: closed already")
	}
	h.mu.closed = true
	b := h.mu.broker
	h.mu.Unlock()
	close(h.stop)
	h.done.Wait()
	if b == nil {
		return nil
	}
	return b.Close()
}
