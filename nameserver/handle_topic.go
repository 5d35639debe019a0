package nameserver

import (
	"errors"
	"time"

	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

func (s *Server) getRouteInfo(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
	var header protocol.GetRouteInfoRequestHeader
	if err := header.Decode(&req.Fields); err != nil {
		return failure(err)
	}
	o := s.config.Load()
	if o.NeedWaitForService && o.Now().Sub(s.started) < time.Duration(o.WaitSecondsForService)*time.Second {
		return failure(errors.New("name server not ready"))
	}
	s.routes.RLock()
	route := s.routes.table.Route(header.Topic)
	s.routes.RUnlock()
	if route == nil {
		return remoting.NewResponse(protocol.TopicNotExist, "No topic route info in name server for the topic: "+header.Topic+
			"\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.")
	}
	if o.OrderMessageEnable {
		route.OrderTopicConf, _ = s.kv.Get(protocol.NamespaceOrderTopicConfig, header.Topic)
	}
	if header.ZoneMode.Or(false) && header.ZoneName != "" {
		KeepZone(route, header.ZoneName)
	}
	if req.Version < protocol.Version4_9_4 && !header.AcceptStandardJSONOnly.Or(false) {
		return withJSON(route)
	}
	data, err := protocol.MarshalStandardJSON(route)
	if err != nil {
		return failure(err)
	}
	resp := success()
	resp.Body = data
	return resp
}

func (s *Server) getBrokerClusterInfo(*remoting.Conn, *remoting.Command) *remoting.Command {
	s.routes.RLock()
	info := s.routes.table.ClusterInfo()
	s.routes.RUnlock()
	return withJSON(info)
}

func (s *Server) wipeWritePerm(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
	var header protocol.WipeWritePermOfBrokerRequestHeader
	if err := header.Decode(&req.Fields); err != nil {
		return failure(err)
	}
	s.routes.Lock()
	n := s.routes.table.WipeWritePerm(header.BrokerName)
	s.routes.Unlock()
	return withHeader(&protocol.WipeWritePermOfBrokerResponseHeader{WipeTopicCount: int32(n)})
}

func (s *Server) addWritePerm(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
	var header protocol.AddWritePermOfBrokerRequestHeader
	if err := header.Decode(&req.Fields); err != nil {
		return failure(err)
	}
	s.routes.Lock()
	n := s.routes.table.AddWritePerm(header.BrokerName)
	s.routes.Unlock()
	return withHeader(&protocol.AddWritePermOfBrokerResponseHeader{AddTopicCount: int32(n)})
}

func (s *Server) getAllTopics(*remoting.Conn, *remoting.Command) *remoting.Command {
	if !s.config.Load().EnableAllTopicList {
		return disabled()
	}
	s.routes.RLock()
	topics := s.routes.table.Topics()
	s.routes.RUnlock()
	return withTopics(topics)
}

func (s *Server) getTopicsByCluster(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
	if !s.config.Load().EnableTopicList {
		return disabled()
	}
	var header protocol.GetTopicsByClusterRequestHeader
	if err := header.Decode(&req.Fields); err != nil {
		return failure(err)
	}
	s.routes.RLock()
	topics := s.routes.table.TopicsOfCluster(header.Cluster)
	s.routes.RUnlock()
	return withTopics(topics)
}

func (s *Server) getSystemTopics(*remoting.Conn, *remoting.Command) *remoting.Command {
	s.routes.RLock()
	list := s.routes.table.SystemTopics()
	s.routes.RUnlock()
	return withJSON(list)
}

func (s *Server) topicsByFlag(with, without int32) remoting.Handler {
	return func(*remoting.Conn, *remoting.Command) *remoting.Command {
		if !s.config.Load().EnableTopicList {
			return disabled()
		}
		s.routes.RLock()
		topics := s.routes.table.TopicsByFlag(with, without)
		s.routes.RUnlock()
		return withTopics(topics)
	}
}

func (s *Server) registerTopic(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
	var header protocol.RegisterTopicRequestHeader
	if err := header.Decode(&req.Fields); err != nil {
		return failure(err)
	}
	var route protocol.TopicRouteData
	if len(req.Body) > 0 {
		if err := protocol.UnmarshalJSON(req.Body, &route); err != nil {
			return failure(err)
		}
	}
	s.routes.Lock()
	s.routes.table.RegisterTopic(header.Topic, route.QueueDatas)
	s.routes.Unlock()
	return success() // Java says so even when it did nothing
}

func (s *Server) deleteTopic(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
	var header protocol.DeleteTopicFromNamesrvRequestHeader
	if err := header.Decode(&req.Fields); err != nil {
		return failure(err)
	}
	s.routes.Lock()
	s.routes.table.DeleteTopic(header.Topic, header.ClusterName)
	s.routes.Unlock()
	return success()
}
