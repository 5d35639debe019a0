package golden

import (
	"encoding/json"
	"fmt"
	"testing"
)

// StoreManifest says what is in a store.
type StoreManifest struct {
	BrokerConfig map[string]string
	BrokerFacts  BrokerFacts
	Client       struct {
		AcknowledgedSends         int
		HighestAcknowledgedOffset int64
	}
	RecoveredByJavaStore  Recovered
	RecoveredByJavaBroker BrokerFacts

	CommitLog  CommitLog
	Checkpoint Checkpoint
	AbortFile  bool
	// ConsumeQueues by topic and queue id.
	ConsumeQueues map[string]map[string]ConsumeQueue
	// BatchConsumeQueues by topic/queue/file.
	BatchConsumeQueues map[string]BatchConsumeQueue `json:"batchconsumequeue"`
	Index              []IndexFile
	TimerWheel         TimerWheel
	TimerLog           []TimerLogFile
	TimerCheck         TimerCheck
	Messages           []Message
	// ConfigFiles are the files of config, reparsed, by name.
	ConfigFiles map[string]json.RawMessage
	// Files by path.
	Files map[string]struct {
		Size   int64
		SHA256 string
	}
}

// TimerWheel are the slots of timerwheel that were ever used.
type TimerWheel struct {
	NonEmptySlots []struct {
		Slot, TimeField, FirstPos, LastPos int64
		Num, Magic                         int32
	}
}

// TimerLogFile is a file of timerlog.
type TimerLogFile struct {
	File    string
	Records []TimerUnit
}

// TimerUnit is a unit of it, or the blank at its end.
type TimerUnit struct {
	Pos, PrevPos        int64
	Magic               int32
	CurrWriteTime       int64
	DelayTime           int32
	OffsetPy            int64
	SizePy              int32
	HashCodeOfRealTopic int32
	Blank               bool
}

// TimerCheck is config/timercheck.
type TimerCheck struct {
	LastReadTimeMs, LastTimerLogFlushPos, LastTimerQueueOffset, MasterTimerQueueOffset int64
	DataVersionState, DataVersionTimestamp, DataVersionCounter                         int64
}

// Message is one message as it lies in the commit log.
type Message struct {
	Topic                     string
	QueueID                   int32
	QueueOffset               int64
	Offset                    int64 // physical
	Size                      int
	Magic                     string // v1 or v2
	MsgID                     string
	UniqKey                   *string
	Tags                      *string
	Keys                      *string
	SysFlag                   int32
	Flag                      int32
	BornTimestamp             int64
	StoreTimestamp            int64
	BornHost, StoreHost       string
	ReconsumeTimes            int32
	PreparedTransactionOffset int64
	BodySize                  int
	BodyCRC                   uint32
	BodySHA256                string
	Properties                map[string]string
	// CqTagsCode is what the consume queue entry of the message holds; nil when there is none.
	CqTagsCode *int64
}

// CommitLog describes the files of the commit log.
type CommitLog struct {
	FileSize int64
	End      int64 // one past the last record
	Files    []struct {
		Name       string
		Size       int64
		Records    int
		RecordsEnd int64
		StoppedBy  string
	}
	Blanks []struct {
		Offset           int64
		Size             int64
		ReachesEndOfFile bool
	}
}

// Checkpoint is the content of the checkpoint file.
type Checkpoint struct {
	PhysicMsgTimestamp, LogicsMsgTimestamp, IndexMsgTimestamp int64
	MasterFlushedOffset, ConfirmPhyOffset                     int64
}

// ConsumeQueue describes the files of one queue.
type ConsumeQueue struct {
	Files                      []string
	FileSize                   int64
	FirstEntry, LastEntry      int64
	NextOffset                 int64
	EntriesNOffsetSizeTagsCode [][4]int64 `json:"entries_n_offset_size_tagsCode"`
}

// BatchConsumeQueue holds the units of a queue file with batches.
type BatchConsumeQueue struct {
	FileSize int64
	Units    []struct {
		Offset          int64
		Size            int32
		TagsCode        int64
		StoreTimestamp  int64
		BaseOffset      int64
		BatchSize       int16
		CompactedOffset int32
		Reserved        int32
	}
}

// IndexFile is the content of one index file.
type IndexFile struct {
	File                         string
	Size                         int64
	BeginTimestamp, EndTimestamp int64
	BeginPhyOffset, EndPhyOffset int64
	HashSlotCount, IndexCount    int32
	Slots                        [][2]int32 // slot, entry; those in use
	Items                        [][5]int64 // entry, key hash, physical offset, seconds, previous entry
}

// BrokerFacts is what a running Java broker answered.
type BrokerFacts struct {
	Runtime map[string]string
	// Queues by topic and queue id.
	Queues map[string]map[string]struct {
		MinOffset, MaxOffset, LastUpdateTimestamp int64
	}
	// ConsumeStats by group and topic/queue.
	ConsumeStats map[string]map[string]struct {
		BrokerOffset, ConsumerOffset int64
	}
	KeyQueries       []KeyQuery
	TimestampQueries []TimestampQuery
}

// KeyQuery is a query by key and the physical offsets of the answer, ascending as Java sorts them.
type KeyQuery struct {
	Topic, Key   string
	MaxNum       int   // 0: the tool's default
	Unique       *bool // whether the key was asked for as a unique key; nil: a query that did not say
	ResponseCode int   // 0, or 22 for not found
	Offsets      []int64
}

// TimestampQuery is a row of queries by store time at one queue.
type TimestampQuery struct {
	Topic   string
	QueueID int32
	// Rows of time, answer with the lower boundary, answer with the upper boundary.
	Rows                 [][3]int64 `json:"timestamp_lower_upper"`
	EarliestMsgStoreTime int64
}

// Recovered is what Java's message store arrives at when it opens a store.
type Recovered struct {
	// LoadReturned is false when Java refused the store; then the rest is empty.
	LoadReturned                     bool
	AfterLoad, AfterStartAndDispatch StoreState
	// The files after a clean shutdown by that Java store, by path.
	FilesAfterCleanShutdown          map[string]FileSum
	CommitLogFilesAfterCleanShutdown map[string]FileSum
	IndexFilesAfterCleanShutdown     []string
}

// StoreState is the state of Java's message store at one moment.
type StoreState struct {
	MinPhyOffset, MaxPhyOffset, FlushedWhere int64
	ConfirmOffset, ReputFromOffset           int64
	DispatchBehindBytes, LastFileFromOffset  int64
	// Queues by topic and queue id.
	Queues     map[string]map[string]QueueState
	IndexFiles []string
}

// QueueState is the state of one queue of Java's message store.
type QueueState struct {
	MinOffset, MaxOffset, MaxPhysicOffset, NextQueueOffset int64
}

// FileSum is the size of a file and the first 16 hex digits of its SHA-256.
type FileSum struct {
	Size   int64
	SHA256 string
}

// UnmarshalJSON implements json.Unmarshaler for the form [size, digits].
func (s *FileSum) UnmarshalJSON(b []byte) error {
	pair := [2]any{&s.Size, &s.SHA256}
	if err := json.Unmarshal(b, &pair); err != nil {
		return fmt.Errorf("file sum: %w", err)
	}
	return nil
}

// Manifest returns the manifest of a store.
func Manifest(tb testing.TB, store string) *StoreManifest {
	tb.Helper()
	m := new(StoreManifest)
	if err := json.Unmarshal(gunzip(tb, store+".json.gz"), m); err != nil {
		tb.Fatalf("%s: %v", store, err)
	}
	return m
}
