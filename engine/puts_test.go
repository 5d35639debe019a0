package engine

import (
	"errors"
	"testing"

	"github.com/rocketlog/rocketlog/message"
)

// laterStore answers its puts in another order than they come.
type laterStore struct{ waiting []func() }

func (s *laterStore) PutAsync(m *message.Message, done Completion) {
	s.waiting = append(s.waiting, func() {
		if m.Topic == "refused" {
			done.PutDone(PutResult{Status: MessageIllegal, Err: errors.New("refused")})
		} else {
			done.PutDone(PutResult{Status: PutOK, QueueOffset: message.QueueOffset(len(m.Body))})
		}
	})
}

// The outcomes of puts come in the order of the puts, whenever each is known.
func TestPutsKeepTheirOrder(t *testing.T) {
	var puts Puts
	if got := puts.Wait(); len(got) != 0 {
		t.Errorf("nothing put gives %v", got)
	}
	store := &laterStore{}
	puts.Put(store, &message.Message{Topic: "t", Body: []byte("123")})
	puts.Skip()
	puts.Put(store, &message.Message{Topic: "refused"})
	puts.Put(store, &message.Message{Topic: "t", Body: []byte("12345")})
	go func() {
		for i := len(store.waiting) - 1; i >= 0; i-- {
			store.waiting[i]()
		}
	}()
	got := puts.Wait()
	if len(got) != 4 || got[0].QueueOffset != 3 || got[1] != (PutResult{}) || got[2].Err == nil || got[3].QueueOffset != 5 {
		t.Errorf("%+v", got)
	}
}
