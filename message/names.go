package message

// Names of properties (Java: MessageConst).
const (
	PropertyKeys       = "KEYS"
	PropertyTags       = "TAGS"
	PropertyUniqueKey  = "UNIQ_KEY"
	PropertyWait       = "WAIT"
	PropertyDelayLevel = "DELAY"
	PropertyBuyerID    = "BUYER_ID"
	PropertyInstanceID = "INSTANCE_ID"
	PropertyMsgType    = "MSG_TYPE"
	PropertyCluster    = "CLUSTER"
	PropertyRegion     = "MSG_REGION"
	PropertyTraceOn    = "TRACE_ON"

	PropertyRealTopic           = "REAL_TOPIC"
	PropertyRealQueueID         = "REAL_QID"
	PropertyRetryTopic          = "RETRY_TOPIC"
	PropertyOriginMessageID     = "ORIGIN_MESSAGE_ID"
	PropertyOriginGroup         = "ORIGIN_GROUP"
	PropertyReconsumeTime       = "RECONSUME_TIME"
	PropertyMaxReconsumeTimes   = "MAX_RECONSUME_TIMES"
	PropertyConsumeStartTime    = "CONSUME_START_TIME"
	PropertyDLQOriginTopic      = "DLQ_ORIGIN_TOPIC"
	PropertyDLQOriginMessageID  = "DLQ_ORIGIN_MESSAGE_ID"
	PropertyForwardQueueID      = "PROPERTY_FORWARD_QUEUE_ID"
	PropertyRedirect            = "REDIRECT"
	PropertyBornHost            = "__BORNHOST"
	PropertyBornTimestamp       = "BORN_TIMESTAMP"
	PropertyShardingKey         = "__SHARDINGKEY"
	PropertyExtendUniqueInfo    = "EXTEND_UNIQ_INFO"
	PropertyTraceContext        = "TRACE_CONTEXT"
	PropertyDupInfo             = "DUP_INFO"
	PropertyTransferFlag        = "TRANSFER_FLAG"
	PropertyCorrectionFlag      = "CORRECTION_FLAG"
	PropertyMQ2Flag             = "MQ2_FLAG"
	PropertyMinOffset           = "MIN_OFFSET"
	PropertyMaxOffset           = "MAX_OFFSET"
	PropertyTTL                 = "TTL"
	PropertyCorrelationID       = "CORRELATION_ID"
	PropertyReplyToClient       = "REPLY_TO_CLIENT"
	PropertyArriveTime          = "ARRIVE_TIME"
	PropertyPushReplyTime       = "PUSH_REPLY_TIME"
	PropertyCRC32               = "__CRC32#"
	PropertyTransientPrefix     = "__RMQ.TRANSIENT."
	PropertyPriority            = "_SYS_MSG_PRIORITY_"
	PropertyInnerNum            = "INNER_NUM"
	PropertyInnerBase           = "INNER_BASE"
	PropertyMultiDispatch       = "INNER_MULTI_DISPATCH"
	PropertyMultiQueueOffset    = "INNER_MULTI_QUEUE_OFFSET"
	PropertyPopCheckPoint       = "POP_CK"
	PropertyPopCheckPointOffset = "POP_CK_OFFSET"
	PropertyFirstPopTime        = "1ST_POP_TIME"
)

// Names of the properties of transactions.
const (
	PropertyTransactionPrepared    = "TRAN_MSG"
	PropertyProducerGroup          = "PGROUP"
	PropertyTransactionID          = "__transactionId__"
	PropertyTransactionCheckTimes  = "TRANSACTION_CHECK_TIMES"
	PropertyCheckImmunityTime      = "CHECK_IMMUNITY_TIME_IN_SECONDS"
	PropertyPreparedQueueOffset    = "TRAN_PREPARED_QUEUE_OFFSET"
	PropertyTimerDelaySeconds      = "TIMER_DELAY_SEC"
	PropertyTimerDelayMilliseconds = "TIMER_DELAY_MS"
	PropertyTimerDeliverTime       = "TIMER_DELIVER_MS"
	PropertyTimerDelayLevel        = "TIMER_DELAY_LEVEL"
	PropertyTimerOutTime           = "TIMER_OUT_MS"
	PropertyTimerEnqueueTime       = "TIMER_ENQUEUE_MS"
	PropertyTimerDequeueTime       = "TIMER_DEQUEUE_MS"
	PropertyTimerRollTimes         = "TIMER_ROLL_TIMES"
	PropertyTimerDeleteKey         = "TIMER_DEL_UNIQKEY"
)

// KeySeparator stands between the keys in the property KEYS.
const KeySeparator = ' '

// Prefixes of topics that belong to a group, and of the system's own (Java: MixAll, TopicValidator).
const (
	RetryTopicPrefix  = "%RETRY%"
	DLQTopicPrefix    = "%DLQ%"
	LMQPrefix         = "%LMQ%"
	SystemTopicPrefix = "rmq_sys_"
)

// The system's topics.
const (
	AutoCreateTopic      = "TBW102"
	ScheduleTopic        = "SCHEDULE_TOPIC_XXXX"
	BenchmarkTopic       = "BenchmarkTest"
	HalfTopic            = "RMQ_SYS_TRANS_HALF_TOPIC"
	OpHalfTopic          = "RMQ_SYS_TRANS_OP_HALF_TOPIC"
	TraceTopic           = "RMQ_SYS_TRACE_TOPIC"
	TransCheckMaxTopic   = "TRANS_CHECK_MAX_TIME_TOPIC"
	SelfTestTopic        = "SELF_TEST_TOPIC"
	OffsetMovedTopic     = "OFFSET_MOVED_EVENT"
	RocksDBOffsetTopic   = "CHECKPOINT_TOPIC"
	TimerTopic           = "rmq_sys_wheel_timer"
	ReviveTopicPrefix    = "rmq_sys_REVIVE_LOG_"
	SyncMemberPrefix     = "rmq_sys_SYNC_BROKER_MEMBER_"
	ReplyTopicPostfix    = "REPLY_TOPIC"
	SystemGroupPrefix    = "CID_RMQ_SYS_"
	DefaultConsumerGroup = "DEFAULT_CONSUMER"
	DefaultProducerGroup = "DEFAULT_PRODUCER"
	ToolsConsumerGroup   = "TOOLS_CONSUMER"
	InnerProducerGroup   = "CLIENT_INNER_PRODUCER"
)

// RetryTopic returns the topic that holds what a group gave back.
func RetryTopic(group string) string { return RetryTopicPrefix + group }

// DLQTopic returns the topic that holds what a group gave up.
func DLQTopic(group string) string { return DLQTopicPrefix + group }
