package broker

import "github.com/rocketlog/rocketlog/broker/state"

// verifyState verifies the state files and has damaged ones written anew from memory.
func (b *Broker) verifyState() {
	for _, part := range []struct {
		file state.File
		save func() error
	}{
		{b.topics.State().File, b.topics.State().Save}, {b.groups.State().File, b.groups.State().Save},
		{b.offsets.State().File, b.offsets.State().Save}, {b.popper.orders.saver.File, b.popper.orders.saver.Save},
		{b.assigner.saver.File, b.assigner.saver.Save}, {b.filters.State(), b.filters.Persist},
		{b.schedule.State(), b.schedule.Rewrite},
	} {
		at, damaged, err := part.file.Verify()
		if err != nil {
			b.log.Error("state file cannot be verified", "file", part.file.Name(), "error", err)
		}
		if !damaged {
			continue
		}
		err = part.save()
		b.log.Error("state file was damaged", "file", part.file.Name(), "byte", at, "mended", err == nil, "error", err)
	}
}
