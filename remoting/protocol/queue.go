package protocol

// MessageQueue names one queue of a topic on one broker. As the key of a map it is written the way fastjson does, as an
// object: see [MarshalJSON].
type MessageQueue struct {
	BrokerName string `json:"brokerName"`
	QueueID    int32  `json:"queueId"`
	Topic      string `json:"topic"`
}

// LockBatchRequestBody is the body of LOCK_BATCH_MQ: the queues that an orderly consumer wants for itself.
type LockBatchRequestBody struct {
	ClientID       string         `json:"clientId"`
	ConsumerGroup  string         `json:"consumerGroup"`
	MQSet          []MessageQueue `json:"mqSet"`
	OnlyThisBroker bool           `json:"onlyThisBroker"`
}

// LockBatchResponseBody is the body of the answer to LOCK_BATCH_MQ: the queues that the client holds now.
type LockBatchResponseBody struct {
	LockOKMQSet []MessageQueue `json:"lockOKMQSet"`
}

// UnlockBatchRequestBody is the body of UNLOCK_BATCH_MQ.
type UnlockBatchRequestBody struct {
	ClientID       string         `json:"clientId"`
	ConsumerGroup  string         `json:"consumerGroup"`
	MQSet          []MessageQueue `json:"mqSet"`
	OnlyThisBroker bool           `json:"onlyThisBroker"`
}

// QueryAssignmentRequestBody is the body of QUERY_ASSIGNMENT: a consumer lets the broker do its rebalancing.
type QueryAssignmentRequestBody struct {
	ClientID      string       `json:"clientId"`
	ConsumerGroup string       `json:"consumerGroup"`
	MessageModel  MessageModel `json:"messageModel"`
	StrategyName  string       `json:"strategyName"` // AVG, AVG_BY_CIRCLE, ...
	Topic         string       `json:"topic"`
}

// QueryAssignmentResponseBody is the body of the answer to QUERY_ASSIGNMENT.
type QueryAssignmentResponseBody struct {
	MessageQueueAssignments []MessageQueueAssignment `json:"messageQueueAssignments"`
}

// MessageQueueAssignment is one queue given to a consumer.
type MessageQueueAssignment struct {
	Attachments  map[string]string  `json:"attachments,omitempty"`
	MessageQueue MessageQueue       `json:"messageQueue"`
	Mode         MessageRequestMode `json:"mode"`
}

// MessageRequestMode says whether a consumer pulls or pops.
type MessageRequestMode string

// The message request modes.
const (
	RequestModePull MessageRequestMode = "PULL"
	RequestModePop  MessageRequestMode = "POP"
)

// SetMessageRequestModeRequestBody is the body of SET_MESSAGE_REQUEST_MODE, and an entry of messageRequestMode.json.
type SetMessageRequestModeRequestBody struct {
	ConsumerGroup    string             `json:"consumerGroup"`
	Mode             MessageRequestMode `json:"mode"`
	PopShareQueueNum int32              `json:"popShareQueueNum"`
	Topic            string             `json:"topic"`
}

// MessageRequestModeSerializeWrapper is the body of the answer to GET_ALL_MESSAGE_REQUEST_MODE, by topic and group.
type MessageRequestModeSerializeWrapper struct {
	MessageRequestModeMap map[string]map[string]SetMessageRequestModeRequestBody `json:"messageRequestModeMap"`
}
