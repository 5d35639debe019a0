package broker

import "github.com/rocketlog/rocketlog/broker/config"

// Options are the settings of a broker; see package config.
type Options = config.Options

// DefaultOptions returns the options with RocketMQ's defaults.
func DefaultOptions() *Options { return config.Default() }
