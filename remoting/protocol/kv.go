package protocol

// NamespaceOrderTopicConfig is the name server's namespace of ordered topics: topic to `brokerName:queues;...`.
const NamespaceOrderTopicConfig = "ORDER_TOPIC_CONFIG"

// KVTable is the body of answers that are a plain table: one namespace of the name server, a broker's runtime information.
type KVTable struct {
	Table map[string]string `json:"table"`
}

// KVConfigTable is the shape of the name server's kvConfig.json: namespace to key to value.
type KVConfigTable struct {
	ConfigTable map[string]map[string]string `json:"configTable"`
}
