package subscription

import (
	"github.com/rocketlog/rocketlog/broker/filter"
	"github.com/rocketlog/rocketlog/remoting/protocol"
)

// A Subscription is what a group wants of a topic. It is not changed once made.
type Subscription struct {
	Data   protocol.SubscriptionData
	Filter *filter.Expression // nil: the expression cannot be evaluated, as fault says
	Fault  error

	InRequest bool // a request carried it, no heartbeat
}

// New compiles what a client asks for.
func New(data protocol.SubscriptionData) *Subscription {
	s := &Subscription{Data: data}
	switch tag := filter.IsTag(data.ExpressionType); {
	case tag && data.ClassFilterMode:
		s.Filter = filter.All()
	case tag && len(data.CodeSet) > 0:
		s.Filter = filter.OfCodes(data.SubString, data.CodeSet)
	default:
		s.Filter, s.Fault = filter.Compile(data.ExpressionType, data.SubString)
	}
	return s
}
