package timer

import (
	"fmt"
	"time"

	"github.com/rocketlog/rocketlog/internal/vfs"
	"github.com/rocketlog/rocketlog/message"
)

// Options are the settings of a Timer. The zero value is right for most.
type Options struct {
	// FS is the file system; nil is the machine's.
	FS vfs.FS
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Precision is how long a slot is, in ms; 0 is 1000. A store keeps the one that it was begun with.
	Precision int64
	// RollWindow is the number of slots ahead in which a message waits at most; one that is due later goes round once
	// more. 0, or one that the wheel has no room for, is two days of seconds.
	RollWindow int64
	// Following is for the timer of a slave: it takes in what its master has taken in (Timer.Follow), and delivers nothing.
	Following bool
	// Stopped says that whoever had the files last stopped in order: what does not agree then is damage, and is told.
	Stopped bool
	// LogFileSize is the size of a file of the timer log in bytes; 0 is 100 MiB.
	LogFileSize int64
	// FlushInterval is the time after which what changed is made durable; 0 is a second.
	FlushInterval time.Duration
	// Dropped, if set, is told of each message that is not going to be delivered.
	Dropped func(Drop)
	// Failed, if set, is told what could not be done and is going to be tried again.
	Failed func(error)

	// Damaged, if set, is told of each file that is found damaged, by Open and by Scrub.
	Damaged func(Fault)

	// slots is half the number of slots of the wheel; 0 is seven days of seconds, as in every store of Java's.
	slots int64
}

// Drop tells of a message that is not delivered (invariant 6).
type Drop struct {
	PhyOffset message.PhyOffset // of the message in the timer topic
	Reason    error
}

const (
	defaultPrecision   = 1000
	defaultSlots       = 7 * 24 * 3600
	defaultRollWindow  = 2 * 24 * 3600
	defaultLogFileSize = 100 << 20
	// blankSlots are those of a wheel that a roll must leave free, as in Java.
	blankSlots = 60
)

func (o *Options) ensureDefaults() {
	if o.FS == nil {
		o.FS = vfs.OS
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Precision == 0 {
		o.Precision = defaultPrecision
	}
	if o.slots == 0 {
		o.slots = defaultSlots
	}
	if most := o.slots - blankSlots; o.RollWindow == 0 {
		o.RollWindow = min(defaultRollWindow, most)
	} else if o.RollWindow < 2 || o.RollWindow > most {
		o.RollWindow = most
	}
	if o.LogFileSize == 0 {
		o.LogFileSize = defaultLogFileSize
	}
	if o.FlushInterval == 0 {
		o.FlushInterval = time.Second
	}
	if o.Dropped == nil {
		o.Dropped = func(Drop) {}
	}
	if o.Damaged == nil {
		o.Damaged = func(Fault) {}
	}
	if o.Failed == nil {
		o.Failed = func(error) {}
	}
}

func (o *Options) validate() error {
	switch {
	case o.Precision < 1 || o.Precision > 60_000:
		return fmt.Errorf("timer: precision %d ms is not between 1 and 60000", o.Precision)
	case o.slots <= blankSlots+2:
		return fmt.Errorf("timer: %d slots are too few", o.slots)
	case o.LogFileSize < unitSize+blankSize:
		return fmt.Errorf("timer: a log file of %d bytes has no room for a unit", o.LogFileSize)
	}
	return nil
}
