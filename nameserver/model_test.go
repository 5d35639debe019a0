package nameserver

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/rocketlog/rocketlog/remoting/protocol"
)

var seedFlag = flag.Uint64("nameserver.seed", 0, "replay the random history of this seed")

// model says the same as RouteTable in flat lists and by brute force.
type model struct {
	opts    TableOptions
	brokers []modelBroker
	queues  map[[2]string]protocol.QueueData // topic, broker name
}

type modelBroker struct {
	Registration
	last time.Time
}

func (m *model) find(match func(*modelBroker) bool) int {
	return slices.IndexFunc(m.brokers, func(b modelBroker) bool { return match(&b) })
}

// register follows the rules of the reference for brokers that name themselves anew; false: refused.
func (m *model) register(now time.Time, r *Registration) bool {
	topics := r.Body.TopicConfigSerializeWrapper.TopicConfigTable
	version := r.Body.TopicConfigSerializeWrapper.DataVersion
	self := func() int {
		return m.find(func(b *modelBroker) bool { return b.Cluster == r.Cluster && b.Addr == r.Addr })
	}
	holder := m.find(func(b *modelBroker) bool { return b.BrokerName == r.BrokerName && b.BrokerID == r.BrokerID })
	if m.find(func(b *modelBroker) bool { return b.BrokerName == r.BrokerName && b.Cluster != r.Cluster }) >= 0 ||
		holder < 0 && len(topics) == 1 || self() < 0 && len(m.brokers) >= m.opts.BrokersMax {
		return false
	}
	if holder >= 0 && m.brokers[holder].Addr != r.Addr && m.versionOf(holder).StateVersion > version.StateVersion {
		m.leave(self())
		return true
	}
	changed := true
	if i := self(); i >= 0 && m.brokers[i].BrokerName != r.BrokerName {
		m.leave(i)
	} else if i >= 0 {
		changed = m.versionOf(i) != version
	}
	m.brokers = slices.DeleteFunc(m.brokers, func(b modelBroker) bool {
		return b.BrokerName == r.BrokerName && (b.BrokerID == r.BrokerID || b.Addr == r.Addr)
	})
	m.brokers = append(m.brokers, modelBroker{*r, now})
	for i := range m.brokers { // what a group's last registration says of the group holds for all
		if m.brokers[i].BrokerName == r.BrokerName {
			m.brokers[i].ActingMaster, m.brokers[i].Zone = r.ActingMaster, r.Zone
		}
	}
	prime := r.BrokerID != 0 && r.ActingMaster.Present && m.min(r.BrokerName) == r.BrokerID
	if r.BrokerID != 0 && !prime {
		return true
	}
	for name, topic := range topics {
		key := [2]string{name, r.BrokerName}
		if _, has := m.queues[key]; has && holder >= 0 && !changed {
			continue
		}
		if prime && r.ActingMaster.Value {
			topic.Perm &^= 2
		}
		m.queues[key] = protocol.QueueData{BrokerName: r.BrokerName, ReadQueueNums: topic.ReadQueueNums, WriteQueueNums: topic.WriteQueueNums, Perm: topic.Perm}
	}
	return true
}

func (m *model) versionOf(i int) protocol.DataVersion {
	return m.brokers[i].Body.TopicConfigSerializeWrapper.DataVersion
}

func (m *model) min(name string) int64 {
	min := int64(-1)
	for _, b := range m.brokers {
		if b.BrokerName == name && (min < 0 || b.BrokerID < min) {
			min = b.BrokerID
		}
	}
	return min
}

func (m *model) leave(i int) {
	if i < 0 {
		return
	}
	gone := m.brokers[i]
	m.brokers = slices.Delete(m.brokers, i, i+1)
	min := m.min(gone.BrokerName)
	for key, queues := range m.queues {
		switch {
		case key[1] != gone.BrokerName:
		case min < 0:
			delete(m.queues, key)
		case min > 0 && gone.ActingMaster.Or(false):
			queues.Perm &^= 2
			m.queues[key] = queues
		}
	}
}

func (m *model) leaveIf(gone func(*modelBroker) bool) (n int) {
	for {
		i := m.find(gone)
		if i < 0 {
			return n
		}
		m.leave(i)
		n++
	}
}

func (m *model) route(topic string) *protocol.TopicRouteData {
	route := &protocol.TopicRouteData{FilterServerTable: map[string][]string{}}
	for _, name := range modelNames {
		queues, has := m.queues[[2]string{topic, name}]
		if !has {
			continue
		}
		route.QueueDatas = append(route.QueueDatas, queues)
		data := protocol.BrokerData{BrokerName: name, BrokerAddrs: map[int64]string{}}
		for _, b := range m.brokers {
			if b.BrokerName == name {
				data.Cluster, data.ZoneName, data.EnableActingMaster = b.Cluster, b.Zone, b.ActingMaster.Or(false)
				data.BrokerAddrs[b.BrokerID] = b.Addr
			}
		}
		if min := m.min(name); m.opts.SupportActingMaster && min > 0 && data.EnableActingMaster && queues.Perm&2 == 0 {
			data.BrokerAddrs[0] = data.BrokerAddrs[min]
			delete(data.BrokerAddrs, min)
		}
		route.BrokerDatas = append(route.BrokerDatas, data)
	}
	if route.QueueDatas == nil {
		return nil
	}
	return route
}

var (
	modelNames  = []string{"a", "b", "c"}
	modelTopics = []string{"T", "U", "V", "W"}
)

// TestRandomHistories runs the table and the model side by side through events in random order.
func TestRandomHistories(t *testing.T) {
	seeds := []uint64{*seedFlag}
	if *seedFlag == 0 {
		seeds = seeds[:0]
		for range 150 {
			seeds = append(seeds, rand.Uint64())
		}
	}
	for _, seed := range seeds {
		if !t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { runHistory(t, seed) }) {
			t.Fatalf("replay with -nameserver.seed=%d", seed)
		}
	}
}

func runHistory(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	opts := TableOptions{SupportActingMaster: rng.IntN(2) == 0, BrokersMax: 5, TopicsMax: 1000}
	table := NewRouteTable(opts)
	m := &model{opts: opts, queues: map[[2]string]protocol.QueueData{}}
	now := t0
	for step := range 200 {
		now = now.Add(time.Duration(rng.IntN(8)) * time.Second)
		what := historyStep(t, rng, now, table, m)
		spoilAnswers(table) // who asked may do so
		checkTable(t, table)
		for _, topic := range modelTopics {
			if got, want := table.Route(topic), m.route(topic); !reflect.DeepEqual(got, want) {
				t.Fatalf("step %d, %s: route of %s\ngot  %+v\nwant %+v", step, what, topic, got, want)
			}
		}
		if len(table.live) != len(m.brokers) {
			t.Fatalf("step %d, %s: %d brokers, want %d", step, what, len(table.live), len(m.brokers))
		}
		if t.Failed() {
			t.Fatalf("at step %d, %s", step, what)
		}
	}
}

// spoilAnswers writes over the answers of a table: invariant 5.
func spoilAnswers(table *RouteTable) {
	for _, topic := range modelTopics {
		spoil(reflect.ValueOf(table.Route(topic)))
	}
	for name, group := range table.groups {
		spoil(reflect.ValueOf(table.MemberGroup(group.data.Cluster, name)))
		spoil(reflect.ValueOf(table.TopicsOfCluster(group.data.Cluster)))
	}
	spoil(reflect.ValueOf(table.ClusterInfo()))
	spoil(reflect.ValueOf(table.SystemTopics()))
	spoil(reflect.ValueOf(table.Topics()))
}

// spoil empties all maps and changes all values that v leads to.
func spoil(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			spoil(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			spoil(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			spoil(v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			spoil(v.MapIndex(key))
		}
		if !v.IsNil() {
			v.Clear()
		}
	case reflect.String:
		if v.CanSet() {
			v.SetString("spoiled")
		}
	case reflect.Int32, reflect.Int64, reflect.Int:
		if v.CanSet() {
			v.SetInt(-7)
		}
	}
}

// historyStep draws one event, gives it to both, and says what it was.
func historyStep(t *testing.T, rng *rand.Rand, now time.Time, table *RouteTable, m *model) string {
	r := randomRegistration(rng)
	switch rng.IntN(10) {
	default:
		copied := *r
		_, err := table.Register(now, r)
		if ok := m.register(now, &copied); ok != (err == nil) {
			t.Errorf("registration of %+v: %v, but the model says %v", copied, err, ok)
		}
		return fmt.Sprintf("register %+v", copied)
	case 5:
		i := m.find(func(b *modelBroker) bool { return b.Cluster == r.Cluster && b.Addr == r.Addr })
		if i >= 0 {
			m.brokers[i].last = now
		}
		if got := table.Heartbeat(now, r.Cluster, r.Addr); got != (i >= 0) {
			t.Errorf("heartbeat of %s: %v", r.Addr, got)
		}
		return "heartbeat of " + r.Addr
	case 6:
		got := table.Unregister(r.Cluster, r.Addr, r.BrokerName)
		want := m.leaveIf(func(b *modelBroker) bool {
			return b.Cluster == r.Cluster && b.Addr == r.Addr && b.BrokerName == r.BrokerName
		})
		if len(got.Brokers) != want {
			t.Errorf("%d left, want %d", len(got.Brokers), want)
		}
		return "unregister " + r.Addr
	case 7:
		got := table.Disconnect(r.Conn)
		if want := m.leaveIf(func(b *modelBroker) bool { return b.Conn == r.Conn }); len(got.Brokers) != want {
			t.Errorf("%d left, want %d", len(got.Brokers), want)
		}
		return fmt.Sprint("disconnect ", r.Conn)
	case 8:
		got := table.Expire(now)
		if want := m.leaveIf(func(b *modelBroker) bool { return b.last.Add(b.HeartbeatTimeout).Before(now) }); len(got.Brokers) != want {
			t.Errorf("%d left, want %d", len(got.Brokers), want)
		}
		return "expire"
	case 9:
		topic := modelTopics[rng.IntN(len(modelTopics))]
		table.DeleteTopic(topic, "")
		for _, name := range modelNames {
			delete(m.queues, [2]string{topic, name})
		}
		return "delete " + topic
	}
}

func randomRegistration(rng *rand.Rand) *Registration {
	var names []string
	for _, topic := range modelTopics {
		if rng.IntN(3) > 0 {
			names = append(names, topic)
		}
	}
	body := topicsOf(rng.Int64N(3), names...)
	body.TopicConfigSerializeWrapper.DataVersion.StateVersion = rng.Int64N(2)
	r := &Registration{
		Cluster:          []string{"c", "c", "c", "d"}[rng.IntN(4)],
		BrokerName:       modelNames[rng.IntN(len(modelNames))],
		BrokerID:         rng.Int64N(3),
		Addr:             fmt.Sprint("10.0.0.1:", rng.IntN(7)),
		Zone:             []string{"", "z"}[rng.IntN(2)],
		HeartbeatTimeout: time.Duration(1+rng.IntN(60)) * time.Second,
		Conn:             ConnID(1 + rng.IntN(6)),
		Body:             body,
	}
	if rng.IntN(4) > 0 {
		r.ActingMaster = protocol.Some(rng.IntN(2) == 0)
	}
	return r
}
