package message

import (
	"hash/crc32"
)

// Where a Java broker runs with enabledAppendPropCRC, the properties end with a checksum of the whole
// record before it: name, 0x01, ten ASCII digits with the least significant first and zeros on the
// right, 0x02.
const (
	crcDigits = 10

	// CRCPropertySize is the size of that property.
	CRCPropertySize = len(PropertyCRC32) + 1 + crcDigits + 1
)

var _ = [1]struct{}{}[CRCPropertySize-20]

// ReserveCRCProperty appends the checksum property to properties, with zeros in place of the digits,
// after removing one that came from outside. [SealCRCProperty] fills it once the record is complete.
func (p Properties) ReserveCRCProperty() Properties {
	p = p.Delete(PropertyCRC32)
	out := make(Properties, 0, len(p)+1+CRCPropertySize)
	return AppendProperty(append(out, p...), PropertyCRC32, "0000000000")
}

// SealCRCProperty computes the checksum of an encoded record whose properties end with a reserved
// checksum property, and writes it there.
func SealCRCProperty(r Record) {
	at := len(r) - CRCPropertySize
	sum := crc32.ChecksumIEEE(r[:at]) & 0x7FFFFFFF
	digits := r[at+len(PropertyCRC32)+1:][:crcDigits]
	for i := range digits {
		digits[i] = '0' + byte(sum%10)
		sum /= 10
	}
}

// VerifyCRCProperty tells whether the record has a checksum property, and whether the record before
// its last [CRCPropertySize] bytes has that checksum.
func (r Record) VerifyCRCProperty() (present, ok bool) {
	digits, present := r.Properties().Get(PropertyCRC32)
	if !present {
		return false, false
	}
	if len(digits) > crcDigits || len(r) < CRCPropertySize {
		return true, false
	}
	var want uint64
	for i := len(digits) - 1; i >= 0; i-- {
		if digits[i] < '0' || digits[i] > '9' {
			return true, false
		}
		want = want*10 + uint64(digits[i]-'0')
	}
	return true, want == uint64(crc32.ChecksumIEEE(r[:len(r)-CRCPropertySize])&0x7FFFFFFF)
}
