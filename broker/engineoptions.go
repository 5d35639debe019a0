package broker

import "github.com/rocketlog/rocketlog/engine"

// EngineOptions gives the settings as the message store takes them, for tools that open a store without a broker.
func (o *StoreOptions) EngineOptions() (*engine.Options, error) {
	complete := *o
	complete.ensureDefaults()
	return complete.engine()
}
