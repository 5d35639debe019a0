// Package nameserver knows which broker serves which topic. Brokers register with every name server, clients ask any of
// them; name servers do not talk to each other and keep nothing on disk but the KV configuration.
//
// [RouteTable] is the knowledge itself (Java: RouteInfoManager): a state machine without goroutine, clock or socket. Events
// go in with the time they happened at, answers and notices come out, so that a test replays any history. [KVConfig] is the
// persistent table of settings (Java: KVConfigManager). [Server] puts both on the wire, and answers HTTP clients that look
// for name servers at /rocketmq/nsaddr, which Java's leaves to a web server.
//
// # Invariants of RouteTable
//
//  1. A live entry (cluster and address) and a member of a group (broker name and id to address) are the same thing: each
//     has exactly one of the other. An address has one name and one id; the latest registration wins.
//  2. A group has at least one member, and its name is in its cluster's set and in no other's. A cluster has at least one group.
//  3. A topic has queues on at least one group, and every group that it names exists.
//  4. Nothing grows beyond the bounds of [TableOptions]: what would is refused as a whole and changes nothing.
//  5. An answer shares no memory with the table.
//
// Invariants 1 to 3 are stricter than Java's, whose tables can keep brokers nobody can remove: see [RouteTable.Register].
//
// RouteTable is not safe for concurrent use; Server guards it by a read-write lock. Server and KVConfig are safe. Lock
// order: none is held while another is taken, and no lock is held over I/O but KVConfig's writer lock.
//
// The package does no authentication, has no embedded controller, and takes no part in storing messages.
package nameserver
