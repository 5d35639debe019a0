// Command mqadmin looks after RocketMQ clusters and stores. It has the offline tools, store check, store repair and
// store dump, for stores whose broker is stopped, ours or Java's, which change nothing, but for a repair that is told to. And it
// looks at brokers and their replication while they run, by commands that have the names and the columns of RocketMQ's.
//
// What is wrong with a store, and what is in one, is told by the packages that keep it: engine, commitlog, consumequeue and
// index. This one prints.
package main
