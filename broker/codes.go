package broker

import (
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// Sizes of the pools: requests of administrators and what may wait for the disk; and requests that wait for a client.
const (
	adminWorkers, adminQueue = 16, 10000
	callWorkers, callQueue   = 32, 1000
)

// handle registers what the server answers. Sends, pulls and what only looks into memory is answered by the goroutine that
// read the request; the rest goes to pools. The port of the VIP channel has all but pulls, as Java's fast port.
func (b *Broker) handle(s *remoting.Server, main bool) {
	for _, code := range []protocol.RequestCode{protocol.SendMessage, protocol.SendMessageV2, protocol.SendBatchMessage} {
		s.Handle(code, b.sender.message, remoting.Inline())
	}
	s.Handle(protocol.EndTransaction, b.transactions.end, remoting.Inline())
	if main {
		s.Handle(protocol.PullMessage, b.puller.message, remoting.Inline())
		s.Handle(protocol.LitePullMessage, b.puller.message, remoting.Inline())
	}
	b.popper.handleCodes(s)
	for code, h := range map[protocol.RequestCode]func(*call) error{
		protocol.GetConsumerListByGroup: b.consumerList,
		protocol.UpdateConsumerOffset:   b.updateOffset,
		protocol.QueryConsumerOffset:    b.queryOffset,
		protocol.GetMaxOffset:           b.maxOffset,
		protocol.GetMinOffset:           b.minOffset,
		protocol.LockBatchMQ:            b.lockQueues,
		protocol.UnlockBatchMQ:          b.unlockQueues,
	} {
		s.Handle(code, answer(h), remoting.Inline())
	}
	for _, code := range []protocol.RequestCode{protocol.SendReplyMessage, protocol.SendReplyMessageV2} {
		s.Handle(code, b.sender.reply, remoting.Pooled(b.calls))
	}
	for code, h := range b.pooled() {
		s.Handle(code, answer(h), remoting.Pooled(b.admin))
	}
	for code, h := range map[protocol.RequestCode]func(*call) error{
		protocol.GetConsumerRunningInfo:          b.runningInfo,
		protocol.ConsumeMessageDirectly:          b.consumeDirectly,
		protocol.InvokeBrokerToGetConsumerStatus: b.consumerStatus,
	} {
		s.Handle(code, answer(h), remoting.Pooled(b.calls))
	}
	if b.isSlave() {
		b.refusePuts(s)
	}
}

// pooled are the requests that a pool answers.
func (b *Broker) pooled() map[protocol.RequestCode]func(*call) error {
	return map[protocol.RequestCode]func(*call) error{
		protocol.HeartBeat:               b.heartbeat,
		protocol.UnregisterClient:        b.unregisterClient,
		protocol.CheckClientConfig:       b.checkClientConfig,
		protocol.ConsumerSendMsgBack:     b.sendBack,
		protocol.RecallMessage:           b.recall,
		protocol.GetTimerCheckPoint:      b.timerCheckpoint,
		protocol.GetTimerMetrics:         b.timerMetrics,
		protocol.QueryMessage:            b.queryMessage,
		protocol.ViewMessageByID:         b.viewMessage,
		protocol.SearchOffsetByTimestamp: b.searchOffset,
		protocol.GetEarliestMsgStoreTime: b.earliestTime,

		protocol.UpdateAndCreateTopic:         b.updateTopic,
		protocol.UpdateAndCreateTopicList:     b.updateTopicList,
		protocol.DeleteTopicInBroker:          b.deleteTopic,
		protocol.GetAllTopicConfig:            b.allTopicConfigs,
		protocol.GetTopicConfig:               b.topicConfig,
		protocol.GetTopicStatsInfo:            b.topicStats,
		protocol.QueryTopicConsumeByWho:       b.groupsOfTopic,
		protocol.GetSystemTopicListFromBroker: b.systemTopicList,
		protocol.CleanUnusedTopic:             b.cleanUnusedTopics,
		protocol.CleanExpiredConsumeQueue:     b.clean,
		protocol.DeleteExpiredCommitLog:       b.clean,

		protocol.UpdateAndCreateSubscriptionGroup:     b.updateGroup,
		protocol.UpdateAndCreateSubscriptionGroupList: b.updateGroupList,
		protocol.DeleteSubscriptionGroup:              b.deleteGroup,
		protocol.GetSubscriptionGroupConfig:           b.groupConfig,
		protocol.GetAllSubscriptionGroupConfig:        b.allGroupConfigs,
		protocol.QueryTopicsByConsumer:                b.topicsOfGroup,
		protocol.QuerySubscriptionByConsumer:          b.subscriptionOfGroup,
		protocol.UpdateAndGetGroupForbidden:           b.forbidTopic,
		protocol.GetConsumerConnectionList:            b.consumerConnections,
		protocol.GetProducerConnectionList:            b.producerConnections,
		protocol.GetAllProducerInfo:                   b.allProducers,

		protocol.GetConsumeStats:           b.consumeStats,
		protocol.GetBrokerConsumeStats:     b.brokerConsumeStats,
		protocol.QueryConsumeTimeSpan:      b.timeSpan,
		protocol.QueryCorrectionOffset:     b.correctionOffsets,
		protocol.InvokeBrokerToResetOffset: b.resetOffset,
		protocol.CloneGroupOffset:          b.cloneOffset,
		protocol.GetAllConsumerOffset:      b.allOffsets,
		protocol.GetAllDelayOffset:         b.allDelayOffsets,
		protocol.GetAllMessageRequestMode:  b.assigner.modes,
		protocol.SetMessageRequestMode:     b.assigner.setMode,
		protocol.QueryAssignment:           b.assigner.query,

		protocol.GetBrokerRuntimeInfo: b.runtimeInfo,
		protocol.GetBrokerConfig:      b.brokerConfig,
		protocol.UpdateBrokerConfig:   b.updateConfig,
		protocol.ViewBrokerStatsData:  b.statsData,
		protocol.GetBrokerHAStatus:    b.haStatus,
		protocol.ExchangeBrokerHAInfo: b.haInfo,

		protocol.NotifyMinBrokerIDChange: b.minIDChanged,

		protocol.NotifyBrokerRoleChanged:    b.roleChanged,
		protocol.GetBrokerEpochCache:        b.epochCache,
		protocol.ControllerGetMetadataInfo:  b.controllerMetadata,
		protocol.ControllerGetSyncStateData: b.syncStateData,

		protocol.QueryConsumeQueue:    b.queueEntries,
		protocol.SetCommitLogReadMode: b.readMode,

		protocol.ResumeCheckHalfMessage: b.resumeCheck,
	}
}
