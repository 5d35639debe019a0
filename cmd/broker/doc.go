// Command broker runs a broker, and with it a name server when it is told of none. It is also built as mqbroker and takes
// the same flags.
//
// It is flags, config file, Open, wait for a signal, Close; what a broker does is package broker's. Where a setting is said
// more than once, a flag comes before the config file, and the file before the environment.
//
// Settings that an administrator changes while it runs (updateBrokerConfig) are written into the config file, or, where none
// was given, into config/broker.properties in the store, which is then read at the next start.
package main
