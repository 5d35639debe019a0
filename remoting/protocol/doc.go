// Package protocol holds the data of RocketMQ's remoting protocol: request and response codes, the headers that travel in a
// command's ext fields, and the bodies.
//
// A header is a struct with the fields of Java's class of the same name. [FieldSource] and [FieldSink] stand for the ext
// fields of a command, so that this package knows nothing of frames. A body is a struct with json tags in Java's names, to
// be read by [UnmarshalJSON] and written by [MarshalJSON], which know the ways in which fastjson departs from JSON.
//
// # Invariants
//
//  1. Decode sets every field of its header: what is absent is zero, or the default that Java gives it.
//  2. Decode never panics; a required field that is missing, and a number that is none, is a *[HeaderError].
//  3. Encode after Decode gives the fields that were understood, with the same values.
//  4. The headers of sending and pulling ([SendMessageRequestHeader], [SendMessageResponseHeader], [PullMessageRequestHeader])
//     borrow their text from the command and are valid as long as it is; all others own theirs.
//
// All types are plain values: a caller that shares one between goroutines synchronizes.
package protocol
