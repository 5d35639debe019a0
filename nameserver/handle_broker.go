package nameserver

import (
	"errors"
	"time"

	"github.com/rocketlog/rocketlog/remoting"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

func (s *Server) registerBroker(conn *remoting.Conn, req *remoting.Command) *remoting.Command {
	var header protocol.RegisterBrokerRequestHeader
	if err := header.Decode(&req.Fields); err != nil {
		return failure(err)
	}
	if header.BodyCRC32 != 0 && header.BodyCRC32 != protocol.BodyCRC32(req.Body) {
		return failure(errors.New("crc32 not match"))
	}
	body, err := protocol.DecodeRegisterBrokerBody(req.Body, header.Compressed, req.Version)
	if err != nil {
		return failure(err)
	}
	o := s.config.Load()
	registration := Registration{
		Cluster:          header.ClusterName,
		BrokerName:       header.BrokerName,
		BrokerID:         header.BrokerID,
		Addr:             header.BrokerAddr,
		HAAddr:           header.HAServerAddr,
		Zone:             header.ZoneName,
		HeartbeatTimeout: time.Duration(header.HeartbeatTimeoutMillis.Or(0)) * time.Millisecond,
		ActingMaster:     header.EnableActingMaster,
		Conn:             connID(conn),
		Body:             body,
	}
	s.routes.Lock()
	registered, err := s.routes.table.Register(o.Now(), &registration)
	s.routes.Unlock()
	if err != nil {
		o.Listener.RegistrationRefused(header.BrokerAddr, header.BrokerName, err)
		return failure(err)
	}
	s.watch(conn) // after the registration, so that a connection that is closed by now takes it back
	if registered.New {
		o.Listener.BrokerRegistered(Member{header.ClusterName, header.BrokerAddr, header.BrokerName, header.BrokerID, connID(conn)})
	}
	if registered.Notify != nil {
		s.notify(*registered.Notify)
	}
	return s.registered(o, registered)
}

func (s *Server) registered(o *Options, r Registered) *remoting.Command {
	resp := success()
	if topics, ok := s.kv.List(protocol.NamespaceOrderTopicConfig); ok && o.ReturnOrderTopicConfigToBroker {
		resp = withJSON(protocol.KVTable{Table: topics})
	}
	header := protocol.RegisterBrokerResponseHeader{HAServerAddr: r.MasterHAAddr, MasterAddr: r.MasterAddr}
	header.Encode(&resp.Fields)
	return resp
}

// watchKey marks connections whose end unregisters brokers.
type watchKey struct{}

func (s *Server) watch(conn *remoting.Conn) {
	if conn.Value(watchKey{}) == nil {
		conn.SetValue(watchKey{}, true)
		conn.OnClose(func() { s.disconnect(connID(conn)) })
	}
}

func (s *Server) unregisterBroker(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
	var header protocol.UnregisterBrokerRequestHeader
	if err := header.Decode(&req.Fields); err != nil {
		return failure(err)
	}
	s.routes.Lock()
	gone := s.routes.table.Unregister(header.ClusterName, header.BrokerAddr, header.BrokerName)
	s.routes.Unlock()
	s.departed(gone, "unregistered")
	return success()
}

func (s *Server) brokerHeartbeat(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
	var header protocol.BrokerHeartbeatRequestHeader
	if err := header.Decode(&req.Fields); err != nil {
		return failure(err)
	}
	s.routes.Lock()
	s.routes.table.Heartbeat(s.config.Load().Now(), header.ClusterName, header.BrokerAddr)
	s.routes.Unlock()
	return success() // an unknown broker learns of it when it asks for its data version
}

func (s *Server) queryDataVersion(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
	var header protocol.QueryDataVersionRequestHeader
	if err := header.Decode(&req.Fields); err != nil {
		return failure(err)
	}
	var theirs protocol.DataVersion
	if len(req.Body) > 0 {
		if err := protocol.UnmarshalJSON(req.Body, &theirs); err != nil {
			return failure(err)
		}
	}
	s.routes.Lock()
	ours, known := s.routes.table.DataVersion(header.ClusterName, header.BrokerAddr)
	s.routes.table.Heartbeat(s.config.Load().Now(), header.ClusterName, header.BrokerAddr)
	s.routes.Unlock()
	resp := success()
	if known {
		resp = withJSON(ours)
	}
	answer := protocol.QueryDataVersionResponseHeader{Changed: !known || ours != theirs}
	answer.Encode(&resp.Fields)
	return resp
}

func (s *Server) getBrokerMemberGroup(_ *remoting.Conn, req *remoting.Command) *remoting.Command {
	var header protocol.GetBrokerMemberGroupRequestHeader
	if err := header.Decode(&req.Fields); err != nil {
		return failure(err)
	}
	s.routes.RLock()
	members := s.routes.table.MemberGroup(header.ClusterName, header.BrokerName)
	s.routes.RUnlock()
	return withJSON(protocol.GetBrokerMemberGroupResponseBody{BrokerMemberGroup: *members})
}
