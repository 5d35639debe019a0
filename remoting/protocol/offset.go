package protocol

// ConsumerOffsetSerializeWrapper is the body of the answer to GET_ALL_CONSUMER_OFFSET, and what consumerOffset.json holds.
// The tables go by "topic@group" and queue id.
type ConsumerOffsetSerializeWrapper struct {
	DataVersion     *DataVersion               `json:"dataVersion,omitempty"`
	GroupTopicMap   map[string][]string        `json:"groupTopicMap,omitempty"`
	OffsetTable     map[string]map[int32]int64 `json:"offsetTable"`
	PullOffsetTable map[string]map[int32]int64 `json:"pullOffsetTable,omitempty"`
}

// DelayOffsetSerializeWrapper is the body of the answer to GET_ALL_DELAY_OFFSET, by delay level, and what
// delayOffset.json holds.
type DelayOffsetSerializeWrapper struct {
	DataVersion *DataVersion    `json:"dataVersion,omitempty"`
	OffsetTable map[int32]int64 `json:"offsetTable"`
}

// ResetOffsetBody is the body of the answer to INVOKE_BROKER_TO_RESET_OFFSET and of RESET_CONSUMER_CLIENT_OFFSET.
type ResetOffsetBody struct {
	OffsetTable map[MessageQueue]int64 `json:"offsetTable"`
}

// ResetOffsetBodyForC is the body of RESET_CONSUMER_CLIENT_OFFSET for clients in C++.
type ResetOffsetBodyForC struct {
	OffsetTable []MessageQueueForC `json:"offsetTable"`
}

// MessageQueueForC is a queue and its offset.
type MessageQueueForC struct {
	BrokerName string `json:"brokerName"`
	Offset     int64  `json:"offset"`
	QueueID    int32  `json:"queueId"`
	Topic      string `json:"topic"`
}

// GetConsumerStatusBody is the body of the answers to INVOKE_BROKER_TO_GET_CONSUMER_STATUS (ConsumerTable, by client id)
// and GET_CONSUMER_STATUS_FROM_CLIENT (MessageQueueTable).
type GetConsumerStatusBody struct {
	ConsumerTable     map[string]map[MessageQueue]int64 `json:"consumerTable"`
	MessageQueueTable map[MessageQueue]int64            `json:"messageQueueTable"`
}

// QueryCorrectionOffsetBody is the body of the answer to QUERY_CORRECTION_OFFSET, by queue id.
type QueryCorrectionOffsetBody struct {
	CorrectionOffsets map[int32]int64 `json:"correctionOffsets"`
}
