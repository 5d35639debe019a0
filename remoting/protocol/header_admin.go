package protocol

// The headers of brokers' own settings, statistics and replicas.

// GetBrokerConfigResponseHeader is the header of the answer to GET_BROKER_CONFIG.
type GetBrokerConfigResponseHeader struct {
	Version string
}

func (h *GetBrokerConfigResponseHeader) fields(c *fieldCodec) {
	c.str("version", &h.Version, required)
}

// Decode reads the header from the fields of a command.
func (h *GetBrokerConfigResponseHeader) Decode(f FieldSource) error {
	*h = GetBrokerConfigResponseHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *GetBrokerConfigResponseHeader) Encode(f FieldSink) { encode(f, h) }

// ViewBrokerStatsDataRequestHeader is the header of VIEW_BROKER_STATS_DATA.
type ViewBrokerStatsDataRequestHeader struct {
	StatsName string
	StatsKey  string
}

func (h *ViewBrokerStatsDataRequestHeader) fields(c *fieldCodec) {
	c.str("statsName", &h.StatsName, required)
	c.str("statsKey", &h.StatsKey, required)
}

// Decode reads the header from the fields of a command.
func (h *ViewBrokerStatsDataRequestHeader) Decode(f FieldSource) error {
	*h = ViewBrokerStatsDataRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *ViewBrokerStatsDataRequestHeader) Encode(f FieldSink) { encode(f, h) }

// CheckRocksDBCQWriteProgressRequestHeader is the header of CHECK_ROCKSDB_CQ_WRITE_PROGRESS.
type CheckRocksDBCQWriteProgressRequestHeader struct {
	Topic          string
	CheckStoreTime int64
}

func (h *CheckRocksDBCQWriteProgressRequestHeader) fields(c *fieldCodec) {
	c.str("topic", &h.Topic, required)
	c.int64("checkStoreTime", &h.CheckStoreTime, optional)
}

// Decode reads the header from the fields of a command.
func (h *CheckRocksDBCQWriteProgressRequestHeader) Decode(f FieldSource) error {
	*h = CheckRocksDBCQWriteProgressRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *CheckRocksDBCQWriteProgressRequestHeader) Encode(f FieldSink) { encode(f, h) }

// ExportRocksDBConfigToJSONRequestHeader is the header of EXPORT_ROCKSDB_CONFIG_TO_JSON.
type ExportRocksDBConfigToJSONRequestHeader struct {
	ConfigType string
}

func (h *ExportRocksDBConfigToJSONRequestHeader) fields(c *fieldCodec) {
	c.str("configType", &h.ConfigType, required)
}

// Decode reads the header from the fields of a command.
func (h *ExportRocksDBConfigToJSONRequestHeader) Decode(f FieldSource) error {
	*h = ExportRocksDBConfigToJSONRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *ExportRocksDBConfigToJSONRequestHeader) Encode(f FieldSink) { encode(f, h) }

// ExchangeHAInfoRequestHeader is the header of EXCHANGE_BROKER_HA_INFO.
type ExchangeHAInfoRequestHeader struct {
	MasterHAAddress   string
	MasterFlushOffset Optional[int64]
	MasterAddress     string
}

func (h *ExchangeHAInfoRequestHeader) fields(c *fieldCodec) {
	c.str("masterHaAddress", &h.MasterHAAddress, optional)
	c.optInt64("masterFlushOffset", &h.MasterFlushOffset)
	c.str("masterAddress", &h.MasterAddress, optional)
}

// Decode reads the header from the fields of a command.
func (h *ExchangeHAInfoRequestHeader) Decode(f FieldSource) error {
	*h = ExchangeHAInfoRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *ExchangeHAInfoRequestHeader) Encode(f FieldSink) { encode(f, h) }

// ExchangeHAInfoResponseHeader is the header of the answer to EXCHANGE_BROKER_HA_INFO.
type ExchangeHAInfoResponseHeader struct {
	MasterHAAddress   string
	MasterFlushOffset Optional[int64]
	MasterAddress     string
}

func (h *ExchangeHAInfoResponseHeader) fields(c *fieldCodec) {
	c.str("masterHaAddress", &h.MasterHAAddress, optional)
	c.optInt64("masterFlushOffset", &h.MasterFlushOffset)
	c.str("masterAddress", &h.MasterAddress, optional)
}

// Decode reads the header from the fields of a command.
func (h *ExchangeHAInfoResponseHeader) Decode(f FieldSource) error {
	*h = ExchangeHAInfoResponseHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *ExchangeHAInfoResponseHeader) Encode(f FieldSink) { encode(f, h) }

// ResetMasterFlushOffsetHeader is the header of RESET_MASTER_FLUSH_OFFSET.
type ResetMasterFlushOffsetHeader struct {
	MasterFlushOffset int64
}

func (h *ResetMasterFlushOffsetHeader) fields(c *fieldCodec) {
	c.int64("masterFlushOffset", &h.MasterFlushOffset, required)
}

// Decode reads the header from the fields of a command.
func (h *ResetMasterFlushOffsetHeader) Decode(f FieldSource) error {
	*h = ResetMasterFlushOffsetHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *ResetMasterFlushOffsetHeader) Encode(f FieldSink) { encode(f, h) }

// NotifyBrokerRoleChangedRequestHeader is the header of NOTIFY_BROKER_ROLE_CHANGED.
type NotifyBrokerRoleChangedRequestHeader struct {
	MasterAddress     string
	MasterEpoch       Optional[int32]
	SyncStateSetEpoch Optional[int32]
	MasterBrokerID    Optional[int64]
}

func (h *NotifyBrokerRoleChangedRequestHeader) fields(c *fieldCodec) {
	c.str("masterAddress", &h.MasterAddress, optional)
	c.optInt32("masterEpoch", &h.MasterEpoch)
	c.optInt32("syncStateSetEpoch", &h.SyncStateSetEpoch)
	c.optInt64("masterBrokerId", &h.MasterBrokerID)
}

// Decode reads the header from the fields of a command.
func (h *NotifyBrokerRoleChangedRequestHeader) Decode(f FieldSource) error {
	*h = NotifyBrokerRoleChangedRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *NotifyBrokerRoleChangedRequestHeader) Encode(f FieldSink) { encode(f, h) }

// NotifyMinBrokerIDChangeRequestHeader is the header of NOTIFY_MIN_BROKER_ID_CHANGE, which the name server sends to a broker.
type NotifyMinBrokerIDChangeRequestHeader struct {
	MinBrokerID       Optional[int64]
	BrokerName        string
	MinBrokerAddr     string
	OfflineBrokerAddr string
	HABrokerAddr      string
}

func (h *NotifyMinBrokerIDChangeRequestHeader) fields(c *fieldCodec) {
	c.optInt64("minBrokerId", &h.MinBrokerID)
	c.str("brokerName", &h.BrokerName, optional)
	c.str("minBrokerAddr", &h.MinBrokerAddr, optional)
	c.str("offlineBrokerAddr", &h.OfflineBrokerAddr, optional)
	c.str("haBrokerAddr", &h.HABrokerAddr, optional)
}

// Decode reads the header from the fields of a command.
func (h *NotifyMinBrokerIDChangeRequestHeader) Decode(f FieldSource) error {
	*h = NotifyMinBrokerIDChangeRequestHeader{}
	return decode(f, h)
}

// Encode adds the header to the fields of a command.
func (h *NotifyMinBrokerIDChangeRequestHeader) Encode(f FieldSink) { encode(f, h) }
