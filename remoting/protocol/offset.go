package protocol

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
