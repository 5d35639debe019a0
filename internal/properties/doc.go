// Package properties reads Java .properties files into structs, and writes structs as such files.
//
// [Parse] reads the syntax of java.util.Properties: comments, escapes, continued lines. [Load] sets the fields of structs
// whose tag `property:"listenPort"` names a key, those of embedded structs included. What a file has wrong comes as
// [Error] values that name file, line and key; what it has besides comes as a [Warning] for each key: one that nobody knows
// (with the nearest one that somebody does), one that RocketMQ has and this project does not need, one set twice.
// [Set], [Entries] and [Format] are for settings that are changed or shown while a daemon runs.
//
// # Invariants
//
//  1. Load sets a field exactly when the file has its key with a value that fits; one error does not hide the others.
//  2. Parse(Format(entries)) gives the entries back.
//  3. No bytes panic.
//
// Values are UTF-8, where Java reads its config files as ISO 8859-1: the same for all but what \uXXXX is for.
// White space around a value is no part of it, unlike in Java, whose numbers then silently keep their defaults.
//
// All functions are free of state and may be called from any goroutine. There is no substitution of variables.
package properties
