package message

// SysFlag holds the bits that broker and clients agree on (Java: MessageSysFlag).
type SysFlag int32

// The bits of a SysFlag.
const (
	FlagCompressed SysFlag = 1 << 0 // the body is compressed
	FlagMultiTags  SysFlag = 1 << 1 // filter type of the topic
	FlagBornV6     SysFlag = 1 << 4 // the born host has 16 address bytes
	FlagStoreV6    SysFlag = 1 << 5 // the store host has 16 address bytes
	FlagNeedUnwrap SysFlag = 1 << 6 // the body is a client batch, to be unwrapped by the consumer
	FlagInnerBatch SysFlag = 1 << 7 // one record that counts as many messages

	flagTransaction SysFlag = 3 << 2
	flagCompression SysFlag = 7 << 8
)

// TransactionType is the state of a transaction that a message stands for.
type TransactionType int32

// The transaction types, as they lie in the system flag.
const (
	TransactionNone     TransactionType = 0
	TransactionPrepared TransactionType = 1 << 2
	TransactionCommit   TransactionType = 2 << 2
	TransactionRollback TransactionType = 3 << 2
)

// CompressionType is the codec of a compressed body.
type CompressionType int32

// The compression types. Old clients leave the bits 0 and mean zlib.
const (
	CompressionLZ4  CompressionType = 1
	CompressionZstd CompressionType = 2
	CompressionZlib CompressionType = 3
)

// Compressed tells whether the body is compressed.
func (f SysFlag) Compressed() bool { return f&FlagCompressed != 0 }

// MultiTags tells whether the topic's filter type is multi tags.
func (f SysFlag) MultiTags() bool { return f&FlagMultiTags != 0 }

// BornV6 tells whether the record holds an IPv6 born host.
func (f SysFlag) BornV6() bool { return f&FlagBornV6 != 0 }

// StoreV6 tells whether the record holds an IPv6 store host.
func (f SysFlag) StoreV6() bool { return f&FlagStoreV6 != 0 }

// NeedUnwrap tells whether the body is a batch that the consumer takes apart.
func (f SysFlag) NeedUnwrap() bool { return f&FlagNeedUnwrap != 0 }

// InnerBatch tells whether the record counts as many messages of its queue.
func (f SysFlag) InnerBatch() bool { return f&FlagInnerBatch != 0 }

// Transaction returns the transaction type.
func (f SysFlag) Transaction() TransactionType { return TransactionType(f & flagTransaction) }

// WithTransaction returns f with its transaction type replaced.
func (f SysFlag) WithTransaction(t TransactionType) SysFlag {
	return f&^flagTransaction | SysFlag(t)&flagTransaction
}

// Compression returns the codec of a compressed body; 0 counts as zlib.
func (f SysFlag) Compression() CompressionType {
	if c := CompressionType(f&flagCompression) >> 8; c != 0 {
		return c
	}
	return CompressionZlib
}
