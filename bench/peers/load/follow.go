package load

import "fmt"

// follower is a push consumer on one connection: one long-polling pull outstanding for each queue.
type follower struct {
	pullRun
	conn    *conn
	deliver func(record)
}

// follow starts a follower of all queues, from their present ends.
func follow(l *loop, c Config, deliver func(record)) (*follower, error) {
	f := &follower{pullRun: pullRun{config: c, loop: l, template: newPullTemplate(c.Topic, "TAG", "*")}, deliver: deliver}
	var err error
	if f.conn, err = l.dial(c.Addr); err != nil {
		return nil, err
	}
	if err := f.readEnds(f.conn); err != nil {
		return nil, err
	}
	f.conn.onFrame = f.onAnswer
	for q := range f.pullers {
		f.pullers[q].offset = f.pullers[q].end
		f.pull(f.conn, &f.pullers[q])
	}
	return f, nil
}

func (f *follower) onAnswer(frame []byte) error {
	a, err := parseAnswer(frame)
	if err != nil {
		return err
	}
	p := &f.pullers[a.opaque-opaqueFirst]
	switch a.code {
	case codeSuccess:
		p.offset += int64(eachRecord(a.body, f.deliver))
	case codePullNotFound, codeRetryAtOnce:
	default:
		return fmt.Errorf("pull of queue %d at %d: %s", p.queue, p.offset, a.describe())
	}
	f.pull(f.conn, p)
	return nil
}
