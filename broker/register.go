package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// Bounds of the time between two registrations, and the first delay after one that failed.
const (
	registerPeriodMin = 10 * time.Second
	registerPeriodMax = 60 * time.Second
	registerRetry     = time.Second
)

// tellPatience bounds how long the one who makes a topic waits for the name servers to know it.
const tellPatience = time.Second

// A registrar tells the name servers of this broker and its topics: at once when something changes, and every 30 s, since
// they forget a broker that is silent. All name servers are told at the same time, and each by itself: one that is down
// does not keep the others waiting.
type registrar struct {
	b      *Broker
	client *remoting.Client
	log    *slog.Logger
	kicked chan struct{}
	ctx    context.Context // done when the registrar stops
	stop   context.CancelFunc
	done   sync.WaitGroup

	mu struct {
		sync.Mutex
		faults map[string]string // what went wrong last, by name server
		next   chan struct{}     // closed at the end of the registration that begins next
	}
}

func newRegistrar(b *Broker) *registrar {
	r := &registrar{
		b: b, client: remoting.NewClient(nil), log: b.log, kicked: make(chan struct{}, 1),
	}
	r.ctx, r.stop = context.WithCancel(context.Background())
	r.mu.faults = map[string]string{}
	r.mu.next = make(chan struct{})
	return r
}

// start registers for the first time, for which it waits no longer than patience, and goes on in the background.
func (r *registrar) start(patience time.Duration) {
	first := r.upcoming()
	r.done.Add(1)
	go r.run()
	r.await(first, patience)
}

// tell has the name servers told of what was changed before the call, and waits until they were or patience is over. Those
// who call it at the same time share one registration, as it is of all topics.
func (r *registrar) tell(patience time.Duration) {
	next := r.upcoming()
	r.kick()
	r.await(next, patience)
}

func (r *registrar) upcoming() chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.next
}

func (r *registrar) await(registered chan struct{}, patience time.Duration) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-registered:
	case <-timer.C:
	case <-r.ctx.Done():
	}
}

// begin gives the channel to close at the end of the registration that now begins.
func (r *registrar) begin() chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.mu.next
	r.mu.next = make(chan struct{})
	return now
}

// kick has the name servers told soon.
func (r *registrar) kick() {
	select {
	case r.kicked <- struct{}{}:
	default:
	}
}

func (r *registrar) run() {
	defer r.done.Done()
	retry := registerRetry
	for {
		began, ended := time.Now(), r.begin()
		err := r.register(r.ctx)
		close(ended)
		pause := min(4*time.Since(began), time.Second)
		o := r.b.options()
		wait := min(max(time.Duration(o.RegisterNameServerPeriod)*time.Millisecond, registerPeriodMin), registerPeriodMax)
		if err != nil {
			wait, retry = min(retry, wait), min(2*retry, registerPeriodMax)
		} else {
			retry = registerRetry
		}
		timer := time.NewTimer(wait)
		select {
		case <-r.ctx.Done():
			timer.Stop()
			return
		case <-r.kicked:
			timer.Stop()
			// Many topics may be made one after the other, and each registration is of all of them.
			select {
			case <-r.ctx.Done():
				return
			case <-time.After(pause):
			}
		case <-timer.C:
		}
	}
}

// register tells all name servers, and returns what went wrong with any.
func (r *registrar) register(ctx context.Context) error {
	o := r.b.options()
	servers := o.NameServers()
	if len(servers) == 0 {
		return nil
	}
	body, err := r.body(o).Encode(false)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(o.RegisterBrokerTimeoutMills)*time.Millisecond)
	defer cancel()
	return r.each(servers, func(addr string) error {
		req := remoting.NewRequest(protocol.RegisterBroker)
		r.header(o, body).Encode(&req.Fields)
		req.Body = body
		resp, err := r.client.Call(ctx, addr, req)
		if err != nil {
			return err
		}
		if resp.ResponseCode() != protocol.Success {
			return fmt.Errorf("code %d: %s", resp.Code, resp.Remark)
		}
		r.learn(resp)
		var h protocol.RegisterBrokerResponseHeader
		if err := h.Decode(&resp.Fields); err != nil {
			return err
		}
		r.b.replication.learnMaster(&h)
		return nil
	})
}

// each calls tell for every name server at once, waits for all and joins their errors. A fault is logged when it is new.
func (r *registrar) each(servers []string, tell func(addr string) error) error {
	errs := make([]error, len(servers))
	var wg sync.WaitGroup
	for i, addr := range servers {
		wg.Go(func() { errs[i] = tell(addr) })
	}
	wg.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, addr := range servers {
		said := r.mu.faults[addr]
		if errs[i] == nil {
			if said != "" {
				r.log.Info("registered with the name server again", "nameserver", addr)
			}
			delete(r.mu.faults, addr)
			continue
		}
		if text := errs[i].Error(); text != said {
			r.log.Warn("name server does not take the registration", "nameserver", addr, "error", errs[i])
			r.mu.faults[addr] = text
		}
		errs[i] = fmt.Errorf("name server %s: %w", addr, errs[i])
	}
	return errors.Join(errs...)
}

func (r *registrar) header(o *Options, body []byte) *protocol.RegisterBrokerRequestHeader {
	return &protocol.RegisterBrokerRequestHeader{
		BrokerName:   o.BrokerName,
		BrokerAddr:   r.b.Addr(),
		ClusterName:  o.BrokerClusterName,
		HAServerAddr: r.b.haAddr(),
		BrokerID:     o.BrokerID,
		BodyCRC32:    protocol.BodyCRC32(body),

		EnableActingMaster: protocol.Some(o.EnableSlaveActingMaster),
	}
}

// body is what the name servers are told: all topics, with the permissions that the broker leaves them.
func (r *registrar) body(o *Options) *protocol.RegisterBrokerBody {
	topics := r.b.topics.Snapshot()
	var body protocol.RegisterBrokerBody
	w := &body.TopicConfigSerializeWrapper
	w.DataVersion, w.MappingDataVersion = topics.DataVersion, topics.DataVersion
	w.TopicConfigTable = make(map[string]protocol.TopicConfig, len(topics.TopicConfigTable))
	for name, c := range topics.TopicConfigTable {
		config := *c
		if o.BrokerPermission&(metadata.PermRead|metadata.PermWrite) != metadata.PermRead|metadata.PermWrite {
			config.Perm &= o.BrokerPermission
		}
		w.TopicConfigTable[name] = config
	}
	body.FilterServerList = []string{}
	return &body
}

// learn takes from the answer which topics are ordered ones.
func (r *registrar) learn(resp *remoting.Command) {
	var table protocol.KVTable
	if len(resp.Body) == 0 {
		return
	}
	if err := protocol.UnmarshalJSON(resp.Body, &table); err != nil {
		r.log.Warn("the name server's table of ordered topics cannot be read", "error", err)
		return
	}
	r.b.topics.MarkOrdered(maps.Keys(table.Table), r.b.now().UnixMilli())
}

// unregister tells all name servers that this broker goes, as far as they can be reached soon.
func (r *registrar) unregister(patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	o := r.b.options()
	r.each(o.NameServers(), func(addr string) error { //nolint:errcheck // logged; they forget the broker by themselves
		req := remoting.NewRequest(protocol.UnregisterBroker)
		(&protocol.UnregisterBrokerRequestHeader{
			BrokerName: o.BrokerName, BrokerAddr: r.b.Addr(), ClusterName: o.BrokerClusterName, BrokerID: o.BrokerID,
		}).Encode(&req.Fields)
		_, err := r.client.Call(ctx, addr, req)
		return err
	})
}

// close stops the registrations, takes the broker back from the name servers and closes the connections to them.
func (r *registrar) close() {
	r.stop()
	r.done.Wait()
	r.unregister(time.Second)
	r.client.Close()
}

// Addr is the address that clients are told.
func (b *Broker) Addr() string { return net.JoinHostPort(b.options().BrokerIP1, strconv.Itoa(b.port)) }
