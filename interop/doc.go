// Package interop proves rocketlog against the real thing: official clients
// of RocketMQ use it, and the real Java broker opens what it stored and goes
// on with it.
//
// The tests here are scenarios. Each drives agents, small programs around one
// version of a client (the Java programs in java/src, compiled once for each
// client version, and goclient/agent), and accounts for every message by the
// events that they print. Each runs against a target: rocketlog, or the real
// Java servers, on which the scenarios themselves are proven. README.md has
// the table of what is covered and how to run it.
//
// Nothing below the module's root is imported by rocketlog itself, and the
// module imports nothing of rocketlog: it sees its commands and its ports.
package interop
