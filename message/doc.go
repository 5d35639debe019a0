// Package message holds the message, the record bytes it becomes in the commit log, and the small
// codecs around it: properties, client batches, message ids, and the string hash that tags and keys
// are looked up by. It is pure: no file, no socket, no clock that was not handed in.
//
// The main types are [Message], what is put; [Record], a checked view of the bytes of one stored
// record; and [Properties], the stored form of a message's properties. [EncodeRecord] turns the first
// into the second, straight into the memory it is to stay in. Java's counterparts are
// MessageExtBrokerInner, MessageExtEncoder, MessageDecoder and MessageClientIDSetter.
//
// # Invariants
//
//  1. The bytes are Java's. What [EncodeRecord] writes, a Java broker reads, and the other way round;
//     a record that was parsed and is encoded again has the same bytes.
//  2. No length read from bytes is used before it is bounded by the bytes at hand. A [Record] that
//     [ParseRecord] returned is consistent: no accessor of it reads outside it or panics.
//  3. Encoding and parsing allocate nothing. Encoding copies the body once; parsing does not touch it.
//  4. A view ([Record], [Properties], the Body of a decoded [Message], [BatchItem]) aliases the bytes
//     it was made from and lives no longer than they do.
//  5. Nothing here panics on bytes off disk or wire. [EncodeRecord] panics when its caller broke the
//     contract: a destination that is not [Message.RecordSize] bytes long.
//
// # Concurrency
//
// Everything but [IDSource] is plain data without locks: concurrent reads are safe, writes need the
// caller's order. An [IDSource] may be used by many goroutines.
//
// # What it does not do
//
// It does not compress or decompress bodies, does not decide where a record goes (the commit log
// does), and does not verify more of a stored record than Java's recovery does: neither the physical
// nor the queue offset in a record is compared with its place.
package message
