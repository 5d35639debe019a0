// Command nameserver runs a name server. It is also built as mqnamesrv and takes the same flags.
//
// It is flags, config file, Start, wait for a signal, Close; what a name server does is package nameserver's.
package main
