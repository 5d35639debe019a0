package golden

import "testing"

// Replication returns all bytes that a Java master and its slave sent one another over the HA port.
func Replication(tb testing.TB) (toSlave, toMaster []byte) {
	tb.Helper()
	return gunzip(tb, "ha-master-to-slave.bin.gz"), gunzip(tb, "ha-slave-to-master.bin.gz")
}
