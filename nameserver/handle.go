package nameserver

import (
	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// handleAll sets the handler of each code. Those that only touch the table run on the connection's own goroutine, in the
// order of its requests; those that write files run on a pool.
func (s *Server) handleAll() {
	for code, handler := range map[protocol.RequestCode]remoting.Handler{
		protocol.RegisterBroker:                s.registerBroker,
		protocol.UnregisterBroker:              s.unregisterBroker,
		protocol.BrokerHeartbeat:               s.brokerHeartbeat,
		protocol.QueryDataVersion:              s.queryDataVersion,
		protocol.GetBrokerMemberGroup:          s.getBrokerMemberGroup,
		protocol.GetRouteInfoByTopic:           s.getRouteInfo,
		protocol.GetBrokerClusterInfo:          s.getBrokerClusterInfo,
		protocol.WipeWritePermOfBroker:         s.wipeWritePerm,
		protocol.AddWritePermOfBroker:          s.addWritePerm,
		protocol.GetAllTopicListFromNameServer: s.getAllTopics,
		protocol.GetTopicsByCluster:            s.getTopicsByCluster,
		protocol.GetSystemTopicListFromNS:      s.getSystemTopics,
		protocol.GetUnitTopicList:              s.topicsByFlag(protocol.TopicFlagUnit, 0),
		protocol.GetHasUnitSubTopicList:        s.topicsByFlag(protocol.TopicFlagUnitSub, 0),
		protocol.GetHasUnitSubUnunitTopicList:  s.topicsByFlag(protocol.TopicFlagUnitSub, protocol.TopicFlagUnit),
		protocol.RegisterTopicInNamesrv:        s.registerTopic,
		protocol.DeleteTopicInNamesrv:          s.deleteTopic,
		protocol.GetKVConfig:                   s.getKVConfig,
		protocol.GetKVListByNamespace:          s.getKVList,
		protocol.GetNamesrvConfig:              s.getConfig,
	} {
		s.remoting.Handle(code, handler, remoting.Inline())
	}
	for code, handler := range map[protocol.RequestCode]remoting.Handler{
		protocol.PutKVConfig:         s.putKVConfig,
		protocol.DeleteKVConfig:      s.deleteKVConfig,
		protocol.UpdateNamesrvConfig: s.updateConfig,
	} {
		s.remoting.Handle(code, handler)
	}
}

func success() *remoting.Command {
	return remoting.NewResponse(protocol.Success, "")
}

func failure(err error) *remoting.Command {
	return remoting.NewResponse(protocol.SystemError, err.Error())
}

// withJSON answers with a body.
func withJSON(body any) *remoting.Command {
	data, err := protocol.MarshalJSON(body)
	if err != nil {
		return failure(err)
	}
	resp := success()
	resp.Body = data
	return resp
}

// withHeader answers with ext fields.
func withHeader(header protocol.Header) *remoting.Command {
	resp := success()
	header.Encode(&resp.Fields)
	return resp
}

func withTopics(topics []string) *remoting.Command {
	return withJSON(protocol.TopicList{TopicList: topics})
}

func disabled() *remoting.Command {
	return remoting.NewResponse(protocol.SystemError, "disable") // Java's remark
}
