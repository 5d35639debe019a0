package remoting

import "time"

// Options are what both ends of a connection have in common. The zero value is right for most.
type Options struct {
	// FrameMax is the largest frame in bytes, its length word included (com.rocketmq.remoting.frameMaxLength). 0: FrameMax.
	FrameMax int
	// IdleTimeout closes a connection on which nothing was read or written for so long (serverChannelMaxIdleTimeSeconds,
	// clientChannelMaxIdleTimeSeconds). 0: 120 s. Negative: never.
	IdleTimeout time.Duration
	// FrameTimeout closes a connection whose peer takes longer to send one frame. 0: 60 s.
	FrameTimeout time.Duration
	// WriteTimeout closes a connection whose peer does not take what is written to it for so long. 0: 60 s.
	WriteTimeout time.Duration
	// ReadBuffer is what a busy connection's read buffer grows to, in bytes; a frame larger than it gets one of its own
	// size as its bytes arrive. 0: 64 KiB.
	ReadBuffer int
	// WriteHigh is the number of bytes waiting to be written at which a connection's requests are no longer read. 0: 1 MiB.
	WriteHigh int
	// WriteMax is the number of bytes waiting to be written at which a connection is closed: its peer reads too slowly for
	// what others answer it. 0: 64 MiB.
	WriteMax int
	// InFlightMax is the number of requests of one connection, received and not yet answered, beyond which further ones are
	// answered with SYSTEM_BUSY. 0: 65535.
	InFlightMax int
	// CallsMax is the number of requests sent on one connection and not yet answered, beyond which further ones are refused
	// (clientAsyncSemaphoreValue, serverAsyncSemaphoreValue). 0: 65535.
	CallsMax int
	// CallTimeout bounds a request whose context has no deadline. 0: 3 s.
	CallTimeout time.Duration
	// Workers is the number of goroutines of the pool that handlers without one of their own share
	// (serverCallbackExecutorThreads). 0: 16.
	Workers int
	// QueueMax is the number of requests that wait for these. 0: 10000.
	QueueMax int
	// Listener is told what happens. Each of its functions may be nil.
	Listener EventListener
}

// ServerOptions configure a Server.
type ServerOptions struct {
	Options
	// ConnsMax is the number of connections beyond which further ones are closed at once. 0: 65535.
	ConnsMax int
}

// ClientOptions configure a Client.
type ClientOptions struct {
	Options
	// ConnectTimeout bounds the making of a connection (connectTimeoutMillis). 0: 3 s.
	ConnectTimeout time.Duration
}

func orDefault[T int | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}

// ensureDefaults puts the defaults where zeros are.
func (o *Options) ensureDefaults() {
	orDefault(&o.FrameMax, FrameMax)
	o.FrameMax = min(o.FrameMax, FrameMax)
	orDefault(&o.IdleTimeout, 120*time.Second)
	orDefault(&o.FrameTimeout, 60*time.Second)
	orDefault(&o.WriteTimeout, 60*time.Second)
	orDefault(&o.ReadBuffer, 64<<10)
	orDefault(&o.WriteHigh, 1<<20)
	orDefault(&o.WriteMax, 64<<20)
	orDefault(&o.InFlightMax, 65535)
	orDefault(&o.CallsMax, 65535)
	orDefault(&o.CallTimeout, 3*time.Second)
	orDefault(&o.Workers, 16)
	orDefault(&o.QueueMax, 10000)
	o.Listener.ensureDefaults()
}

// tick is how often a connection on which something is under way looks after itself: its peer's silence, slow frames, buffers grown too large.
func (o *Options) tick() time.Duration {
	t := min(o.FrameTimeout/4, 10*time.Second)
	if o.IdleTimeout > 0 {
		t = min(t, o.IdleTimeout/4)
	}
	return max(t, time.Millisecond)
}
