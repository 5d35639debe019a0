package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rocketlog/rocketlog/broker/clients"
	"github.com/rocketlog/rocketlog/broker/config"
	"github.com/rocketlog/rocketlog/broker/longpoll"
	"github.com/rocketlog/rocketlog/broker/metadata"
	"github.com/rocketlog/rocketlog/broker/schedule"
	"github.com/rocketlog/rocketlog/broker/state"
	"github.com/rocketlog/rocketlog/broker/stats"
	"github.com/rocketlog/rocketlog/broker/subscription"
	"github.com/rocketlog/rocketlog/engine"
	"github.com/rocketlog/rocketlog/remoting"
)

// A Broker serves RocketMQ's protocol over a store.
type Broker struct {
	opts      atomic.Pointer[Options] // never changed in place
	log       *slog.Logger
	now       func() time.Time
	port      int            // the main one, as listened on
	fastPort  int            // that of the VIP channel
	lastPorts listenPorts    // of the last role
	storeHost netip.AddrPort // as stored in messages, and so in their ids

	store       *engine.Store
	topics      *metadata.Topics
	groups      *metadata.Groups
	offsets     *metadata.Offsets
	filters     *subscription.Filters
	expressions *subscription.Cache
	consumers   *clients.Consumers
	producers   *clients.Producers
	locks       *clients.Locks
	stats       *stats.Counters
	holds       *longpoll.Pulls
	lags        *lagTable
	cold        *coldReads
	schedule    *schedule.Scheduler
	sender      *sender
	puller      *puller
	popper      *popper
	assigner    *assigner
	registrar   *registrar
	replication *replication
	acting      *acting     // nil but on a slave that acts for its master
	roles       *roleKeeper // nil without auto-switch HA
	unclean     bool        // the last run did not end cleanly

	transactions *transactor
	timers       *timers

	persisters []*state.Persister

	server *remoting.Server // the main port
	fast   *remoting.Server // two below: no pulls
	admin  *remoting.Pool
	calls  *remoting.Pool // requests that wait for a client's answer

	offloaded atomic.Int64 // requests on goroutines of their own

	config   sync.Mutex // changes of opts
	version  configVersion
	stop     chan struct{}
	done     sync.WaitGroup
	closed   sync.Once
	closeErr error
}

// drainPatience bounds how long a stop waits for requests under way.
const drainPatience = 3 * time.Second

// registerPatience bounds how long a start waits for the name servers to know the broker.
const registerPatience = 300 * time.Millisecond

// Open starts a broker: it opens or makes the store in opts.StorePathRootDir, reads its state, listens, and tells the name
// servers. When it returns the broker serves. nil opts are DefaultOptions.
func Open(opts *Options) (*Broker, error) { return openOn(opts, listenPorts{}) }

// openOn is Open that listens on the ports of the last role, where the options say that any will do.
func openOn(opts *Options, last listenPorts) (*Broker, error) {
	if opts == nil {
		opts = DefaultOptions()
	}
	o := *opts
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	b := &Broker{log: o.Logger, now: o.Now, lastPorts: last, stop: make(chan struct{})}
	main, fast, err := listen(&o, last)
	if err != nil {
		return nil, err
	}
	if err := b.takeRole(&o); err != nil {
		main.Close()
		fast.Close()
		return nil, err
	}
	b.opts.Store(&o)
	b.port = main.Addr().(*net.TCPAddr).Port
	b.fastPort = fast.Addr().(*net.TCPAddr).Port
	b.storeHost = netip.AddrPortFrom(config.HostAddress(o.BrokerIP1), uint16(b.port))
	if err := b.open(&o); err != nil {
		main.Close()
		fast.Close()
		return nil, err
	}
	b.masterReturns(&o)
	b.serve(main, fast)
	b.registrar.start(registerPatience)
	return b, nil
}

// listen takes both ports before anything else is done, so that a second broker on the machine ends at once.
func listen(o *Options, last listenPorts) (main, fast net.Listener, err error) {
	port, fastPort := o.ListenPort, o.ListenPort-2
	if port == config.AnyPort {
		port, fastPort = last.main, last.fast
	}
	address := func(port int) string { return net.JoinHostPort(o.BindAddress, strconv.Itoa(port)) }
	if main, err = net.Listen("tcp", address(port)); err != nil {
		return nil, nil, fmt.Errorf("property listenPort: %w", err)
	}
	if fast, err = net.Listen("tcp", address(fastPort)); err != nil {
		main.Close()
		return nil, nil, fmt.Errorf("the port of the VIP channel, two below listenPort: %w", err)
	}
	return main, fast, nil
}

// open makes all parts and loads their state. Nothing is served yet.
func (b *Broker) open(o *Options) error {
	levels, err := config.ParseDelayLevels(o.MessageDelayLevel)
	if err != nil {
		return err
	}
	file := func(name string) state.File {
		return state.NewFile(o.FS, filepath.Join(o.StorePathRootDir, "config", name))
	}
	if err := o.FS.MkdirAll(filepath.Join(o.StorePathRootDir, "config"), 0o755); err != nil {
		return err
	}
	now := b.now()
	millis := func() int64 { return b.now().UnixMilli() }
	b.topics = metadata.NewTopics(file("topics.json"), file("topicQueueMapping.json"), metadata.TopicOptions{System: systemTopics(o), Light: o.EnableLmq}, now.UnixMilli())
	b.groups = metadata.NewGroups(file("subscriptionGroup.json"), o.EnableLmq, now.UnixMilli())
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	offsets := b.persister("consumerOffset.json", ms(o.FlushConsumerOffsetInterval), func() error { return b.offsets.Persist() })
	b.offsets = b.newOffsets(file, o, offsets.Arm)
	b.expressions = subscription.NewCache()
	filters := b.persister("consumerFilter.json", filterPersistDelay, func() error { return b.filters.Persist() })
	b.filters = subscription.NewFilters(file("consumerFilter.json"), millis, filters.Arm)
	locks := b.persister("queueLocks.json", lockPersistDelay, func() error { return b.locks.Persist() })
	b.locks = clients.NewLocks(file("queueLocks.json"), b.now, locks.Arm)
	b.stats, b.lags = stats.New(now), newLagTable()
	b.producers = clients.NewProducers(b.now)
	b.consumers = clients.NewConsumers(b.now, b.notifyMembers)
	b.holds = longpoll.NewPulls(o.MaxPullHolds, b.now)
	counts := b.persister("timermetrics", timerMetricsDelay, func() error { return b.timers.persist() })
	b.timers = newTimers(b, file("timermetrics"), counts.Arm)
	delays := b.persister("delayOffset.json", ms(o.FlushDelayOffsetInterval), func() error { return b.schedule.Persist() })
	b.schedule = schedule.New(file("delayOffset.json"), levels, b.now, b.log, delays.Arm)
	b.assigner = newAssigner(b, file("messageRequestMode.json"))
	orders := b.persister("consumerOrderInfo.json", persistOrders, func() error { return b.popper.orders.persist() })
	b.popper = newPopper(b, o, file("consumerOrderInfo.json"), orders.Arm)
	if err := b.openStore(o); err != nil {
		b.holds.Close()
		b.popper.waits.Close()
		return err
	}
	b.cold = newColdReads(b, o)
	b.sender = newSender(b, o, len(levels))
	b.puller = newPuller(b, b.holds, b.cold)
	b.registrar = newRegistrar(b)
	b.acting = newActing(b, o)
	if err := b.schedule.Open(b.scheduleStore(), o.FS, o.StorePathRootDir, b.store.MaxPhyOffset); err != nil {
		b.log.Warn("progress of delayed messages cannot be kept; after a crash some may be delivered again", "error", err)
	}
	b.transactions = newTransactor(b)
	b.loadState()
	err = b.timers.start(o)
	if err == nil {
		err = b.openReplication(o)
	}
	if err != nil {
		b.holds.Close()
		return errors.Join(err, b.timers.close(), b.store.Close())
	}
	b.topics.OnChange(b.registrar.kick)
	return nil
}

// newOffsets makes the table of offsets. Where there are light queues it has, as Java's, another file.
func (b *Broker) newOffsets(file func(name string) state.File, o *Options, armed func()) *metadata.Offsets {
	kept := file("consumerOffset.json")
	opts := metadata.OffsetOptions{VersionStep: o.ConsumerOffsetUpdateVersionStep, Light: o.EnableLmq, Following: o.BrokerRole == config.SlaveRole}
	if o.EnableLmq {
		before := kept
		kept, opts.Before = file("lmqConsumerOffset.json"), &before
	}
	return metadata.NewOffsets(kept, opts, func() int64 { return b.now().UnixMilli() }, armed)
}

// state.Load reads the state files. One that is damaged beyond its backup is as one that is not there: the broker starts,
// and says so. In place of a damaged one its state is written at once, as there is no other generation of it than one.
func (b *Broker) loadState() {
	damaged := false
	for _, load := range []func() error{b.topics.LoadStatic, b.topics.Load, b.groups.Load, b.offsets.Load, b.filters.Load, b.locks.Load, b.schedule.Load, b.popper.orders.load, b.assigner.load} {
		if err := load(); err != nil {
			b.log.Error("state file is damaged", "error", err)
			damaged = true
		}
	}
	if b.roles != nil {
		b.topics.Reign(b.roles.get().Epoch, b.now().UnixMilli())
	}
	for _, name := range b.topics.StaticNames() {
		b.log.Warn("a static topic is neither read nor written: its queues are spread over brokers by a mapping, which is not followed", "topic", name)
	}
	moved := b.offsets.Clamp(func(topic string, queue int32) int64 {
		if b.topics.IsStatic(topic) {
			return math.MaxInt64 // offsets of the mapping
		}
		return int64(b.store.MaxOffset(topic, queue))
	})
	if moved > 0 {
		b.log.Warn("consumer offsets lay behind the end of their queues and are moved back to it", "queues", moved)
	}
	if err := b.transactions.load(); err != nil {
		b.log.Error("op queue of transactions cannot be read; some are checked again", "error", err)
	}
	b.popper.log.load()
	if damaged {
		b.verifyState()
	}
}

// serve starts everything that runs.
func (b *Broker) serve(main, fast net.Listener) {
	b.admin = remoting.NewPool(adminWorkers, adminQueue)
	b.calls = remoting.NewPool(callWorkers, callQueue)
	opts := &remoting.ServerOptions{Options: remoting.Options{
		QueueMax: adminQueue,
		Listener: remoting.EventListener{
			ConnClosed:      b.connClosed,
			HandlerPanicked: b.handlerPanicked,
			AcceptFailed:    func(err error) { b.log.Error("connections cannot be accepted", "error", err) },
			ConnRefused:     func(a netip.AddrPort, err error) { b.log.Warn("connection refused", "client", a, "error", err) },
		},
	}}
	b.server, b.fast = remoting.NewServer(opts), remoting.NewServer(opts)
	b.handle(b.server, true)
	b.handle(b.fast, false)
	b.startPersisters()
	b.cold.start()
	if !b.isSlave() { // what these put, a slave gets from its master
		b.schedule.Start()
		b.transactions.start()
		b.popper.start()
	}
	b.replication.start()
	if b.acting != nil {
		b.acting.start()
	}
	b.done.Add(3)
	go b.runHousekeeping()
	for server, ln := range map[*remoting.Server]net.Listener{b.server: main, b.fast: fast} {
		go b.runServe(server, ln)
	}
}

func (b *Broker) runServe(server *remoting.Server, ln net.Listener) {
	defer b.done.Done()
	if err := server.Serve(ln); err != nil {
		b.log.Error("port is not served any more", "address", ln.Addr(), "error", err)
	}
}

func (b *Broker) handlerPanicked(c *remoting.Conn, p remoting.HandlerPanic) {
	b.log.Error("handler panicked", "code", p.Code, "client", c.RemoteAddr(), "panic", p.Value, "stack", string(p.Stack))
}

// connClosed takes a client out of everything that knows it.
func (b *Broker) connClosed(c *remoting.Conn, reason error) {
	b.holds.Drop(c)
	b.popper.waits.Drop(c)
	b.consumers.Closed(c)
	b.producers.Closed(c)
	b.log.Debug("connection closed", "client", c.RemoteAddr(), "reason", reason)
}

// options are the settings of the moment.
func (b *Broker) options() *Options { return b.opts.Load() }

// Store is the broker's message store.
func (b *Broker) Store() *engine.Store { return b.store }

// FastAddr is the address of the VIP channel.
func (b *Broker) FastAddr() string {
	return net.JoinHostPort(b.options().BrokerIP1, strconv.Itoa(b.fastPort))
}

// Close takes the broker off the name servers, finishes what is under way, makes its state durable and closes the store.
func (b *Broker) Close() error {
	b.closed.Do(func() { b.closeErr = b.close() })
	return b.closeErr
}

func (b *Broker) close() error {
	b.registrar.close()
	b.popper.waits.Close()
	b.holds.Close() // held pulls are answered, so that the servers can drain
	ctx, cancel := context.WithTimeout(context.Background(), drainPatience)
	defer cancel()
	var servers sync.WaitGroup
	for _, s := range []*remoting.Server{b.server, b.fast} {
		servers.Go(func() {
			if err := s.Close(ctx); err != nil {
				b.log.Warn("stopped with requests under way", "error", err)
			}
		})
	}
	servers.Wait()
	b.admin.Close()
	b.calls.Close()
	if b.acting != nil {
		b.acting.close()
	}
	b.schedule.Close()
	if !b.isSlave() {
		b.transactions.close()
	}
	b.popper.close()
	b.replication.close()
	close(b.stop) // offloaded requests are waited for too
	b.done.Wait()
	return errors.Join(b.offsets.Persist(), b.filters.Persist(), b.schedule.Persist(), b.popper.orders.persist(), b.locks.Persist(), b.timers.close(), b.store.Close())
}
