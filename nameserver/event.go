package nameserver

import (
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/rocketlog/rocketlog/remoting"
)

// EventListener is told what happens. Its functions must not block.
type EventListener struct {
	// BrokerRegistered is called when a broker registers that was not known.
	BrokerRegistered func(Member)
	// BrokerLeft is called when a broker is known no longer, with the reason: unregistered, disconnected, expired.
	BrokerLeft func(b Member, reason string)
	// RegistrationRefused is called when a broker is not let in.
	RegistrationRefused func(addr, brokerName string, reason error)
	// NoticeFailed is called when a broker could not be told that its group's smallest id is another.
	NoticeFailed func(addr string, err error)
	// ConfigChanged is called when settings were changed from afar.
	ConfigChanged func(remote netip.AddrPort, keys []string)
	// FileDamaged is called when the KV config is read from its backup.
	FileDamaged func(err error)
	// ServeFailed is called when a listener ended before Close.
	ServeFailed func(err error)
	// HandlerPanicked is called when a request met a bug; it was answered with SYSTEM_ERROR.
	HandlerPanicked func(remote netip.AddrPort, p remoting.HandlerPanic)
}

// ensure puts functions that do nothing in place of nil.
func (l *EventListener) ensure() {
	if l.BrokerRegistered == nil {
		l.BrokerRegistered = func(Member) {}
	}
	if l.BrokerLeft == nil {
		l.BrokerLeft = func(Member, string) {}
	}
	if l.RegistrationRefused == nil {
		l.RegistrationRefused = func(string, string, error) {}
	}
	if l.NoticeFailed == nil {
		l.NoticeFailed = func(string, error) {}
	}
	if l.ConfigChanged == nil {
		l.ConfigChanged = func(netip.AddrPort, []string) {}
	}
	if l.FileDamaged == nil {
		l.FileDamaged = func(error) {}
	}
	if l.ServeFailed == nil {
		l.ServeFailed = func(error) {}
	}
	if l.HandlerPanicked == nil {
		l.HandlerPanicked = func(netip.AddrPort, remoting.HandlerPanic) {}
	}
}

// LogEvents gives a listener that writes the events to a daemon's log.
func LogEvents(log *slog.Logger) EventListener {
	broker := func(b Member) slog.Attr {
		return slog.Group("broker", "cluster", b.Cluster, "name", b.BrokerName, "id", b.BrokerID, "addr", b.Addr)
	}
	return EventListener{
		BrokerRegistered: func(b Member) { log.Info("broker registered", broker(b)) },
		BrokerLeft:       func(b Member, reason string) { log.Info("broker left", broker(b), "reason", reason) },
		RegistrationRefused: func(addr, name string, reason error) {
			log.Warn("registration refused", "addr", addr, "broker", name, "reason", reason)
		},
		NoticeFailed: func(addr string, err error) { log.Warn("notice not delivered", "addr", addr, "err", err) },
		ConfigChanged: func(remote netip.AddrPort, keys []string) {
			log.Info("settings changed", "remote", remote, "keys", keys)
		},
		FileDamaged: func(err error) { log.Error("state file is damaged", "err", err) },
		ServeFailed: func(err error) { log.Error("listener ended", "err", err) },
		HandlerPanicked: func(remote netip.AddrPort, p remoting.HandlerPanic) {
			log.Error("handler panicked", "remote", remote, "code", p.Code, "panic", fmt.Sprint(p.Value), "stack", string(p.Stack))
		},
	}
}
