// Package load is a lean load generator for any RocketMQ broker: frames are encoded once and patched
// in place, one thread serves all connections by epoll, and answers are looked into no further than
// needed, so that most of the CPU of the machine is left to the broker under study.
//
// [Send] keeps so many sends in flight on each connection, [Pull] reads a backlog as consumers do, one
// pull of 32 messages outstanding for each queue, and [EndToEnd] sends at a fixed rate and measures the
// time until the message arrives at a long-polling consumer. Headers are JSON, with the fields of the
// Java client.
//
// # Invariants
//
//  1. The offered load is closed: an answer causes the next request, on the same connection.
//  2. Requests caused by the answers of one read leave by one write.
//  3. An opaque has eight digits, so a frame's length never changes; no two requests in flight on one
//     connection share one.
//
// # Concurrency
//
// A loop and its connections belong to the goroutine that runs it. EndToEnd runs two, one for each
// direction, which share nothing but the clock.
package load
