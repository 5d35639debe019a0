// Package remoting frames RocketMQ's commands over TCP, as server and as client (Java's remoting module).
//
// A [Command] is one request or response; format.go draws its frame, format_json.go and format_rocketmq.go the two header
// serializations. A [Server] runs a [Handler] for each request that arrives on its connections. A [Client] keeps one
// connection for each address. Both ends of a [Conn] may send requests.
//
// # Invariants
//
//  1. No bytes from a peer panic, and none get more memory than twice what has arrived, up to FrameMax.
//  2. A response bears the opaque and the serialize type of its request. Responses leave in the order in which they are given,
//     which need not be that of the requests.
//  3. A request with a readable header is answered once, unless it is one-way, its handler chose [NoReply], or the
//     connection ends. What cannot be read ends the connection, with the reason given to [EventListener].
//  4. Release of a command with segments is called exactly once.
//  5. Fields and Body of a received command are valid until its handler returns, and not a moment longer.
//  6. All that a connection holds is bounded: see [Options].
//
// # Concurrency
//
// Each connection has a goroutine that reads, [Conn.run], which also runs its inline handlers and writes their answers, one
// write for all that it found in one read; and, while something is sent from elsewhere, a second, writer.flushAll. A
// [Pool] has its own. A Server's Close and a Client's wait for all of them. Locks: Server.mu, Client.mu, Conn.state,
// Conn.calls, writer.mu and Pool.mu are leaves: none is held while another is taken, nor during I/O or a callback.
//
// # What it does not do
//
// TLS and the PROXY protocol: a connection that begins with either is closed with a reason that says so. Access control is for
// handlers. Nothing is retried.
package remoting
