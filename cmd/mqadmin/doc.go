// Command mqadmin looks after RocketMQ clusters and stores. So far it has the offline tools: store check, store repair and
// store dump, for stores whose broker is stopped, ours or Java's. They change nothing, but for a repair that is told to.
//
// What is wrong with a store, and what is in one, is told by the packages that keep it: engine, commitlog, consumequeue and
// index. This one prints.
package main
