package engine

import (
	"sync/atomic"

	"github.com/rocketlog/rocketlog/message"
)

// counters count since the store was opened.
type counters struct {
	putMessages, putRefused        atomic.Int64
	gets, getMessages, getBytes    atomic.Int64
	coldGets                       atomic.Int64
	checkpoints                    atomic.Int64
	queuesRebuilt, logFilesDeleted atomic.Int64
	scrubs, scrubBytes             atomic.Int64
	scrubFound, scrubMended        atomic.Int64
	cleanedTo                      atomic.Int64 // log minimum that queues and index follow
}

// Metrics is a snapshot of a store's counters and positions. Counters count
// since the store was opened.
type Metrics struct {
	PutMessages, PutRefused                     int64
	PutHeldBack                                 int64 // puts that waited for the dispatcher
	Gets, GetMessages, GetBytes                 int64
	ColdGets                                    int64 // gets so far behind the end of the log that the memory may not have what they read
	Checkpoints, QueuesRebuilt, LogFilesDeleted int64
	Scrubs, ScrubBytes, ScrubFound, ScrubMended int64 // rounds; bytes read; faults
	MinPhyOffset, MaxPhyOffset                  message.PhyOffset
	FlushedOffset, ConfirmOffset, ReputOffset   message.PhyOffset
	DispatchBehindBytes                         int64
	ColdLoads, ColdBytes, ColdDropped           int64 // parts of the log read for LoadCold; bytes; parts dropped again
	ColdParts                                   int   // parts that are in memory by LoadCold
	Queues                                      int
	LogFiles, LogFilesMapped                    int
	DiskUsedPercent                             int
	// Refusing is why puts are refused, empty if they are not.
	Refusing string
}

// Metrics returns a snapshot.
func (s *Store) Metrics() Metrics {
	c := &s.metrics
	m := Metrics{
		PutMessages: c.putMessages.Load(), PutRefused: c.putRefused.Load(), PutHeldBack: s.holdBack.held.Load(),
		ColdGets: c.coldGets.Load(), Gets: c.gets.Load(), GetMessages: c.getMessages.Load(), GetBytes: c.getBytes.Load(),
		Checkpoints: c.checkpoints.Load(), QueuesRebuilt: c.queuesRebuilt.Load(), LogFilesDeleted: c.logFilesDeleted.Load(),
		Scrubs: c.scrubs.Load(), ScrubBytes: c.scrubBytes.Load(), ScrubFound: c.scrubFound.Load(), ScrubMended: c.scrubMended.Load(),
		MinPhyOffset: s.log.MinOffset(), MaxPhyOffset: s.log.MaxOffset(),
		FlushedOffset: s.log.FlushedOffset(), ConfirmOffset: s.log.ConfirmOffset(), ReputOffset: s.ReputOffset(),
		Queues: len(s.queues.Queues()), LogFiles: len(s.log.Files()), LogFilesMapped: s.log.Mapped(),
	}
	m.ColdLoads, m.ColdBytes, m.ColdDropped = s.pages.loads.Load(), s.pages.loadedBytes.Load(), s.pages.dropped.Load()
	m.ColdParts = s.pages.loaded()
	m.DispatchBehindBytes = int64(m.ConfirmOffset - m.ReputOffset)
	if percent, err := s.diskPercent(); err == nil {
		m.DiskUsedPercent = percent
	}
	if err := s.Writable(); err != nil {
		m.Refusing = err.Error()
	}
	return m
}
