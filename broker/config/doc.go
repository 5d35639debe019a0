// Package config has the settings of a broker, by the keys of RocketMQ's broker.conf. It is what Java has in BrokerConfig and
// MessageStoreConfig.
//
// # Main types
//
//   - [Options] are all settings; [Default] gives RocketMQ's defaults.
//   - [StoreOptions] are those of the message store and the timer, which tools have that open a store without a broker.
//   - [HAOptions] are those of masters and slaves.
//
// # Invariants
//
//  1. Each property has RocketMQ's key, unit, meaning and default, or its field says how it differs.
//  2. Validate says all that is wrong, and names the properties.
//  3. A setting that is kept is in the file when Keep's function returns, and the rest of the file is as it was.
//
// # Concurrency
//
// Options are values. A running broker's are never changed in place.
//
// # What it does not do
//
// It reads no files: package internal/properties does, for the commands.
package config
