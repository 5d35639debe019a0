//go:build !amd64

package message

func hashBytes(h uint32, s []byte) uint32 { return hashUTF8(h, s) }
