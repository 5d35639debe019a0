package mappedfile

// Ref is a held slice of the address space. Its bytes stay valid until
// Release; the zero Ref holds nothing.
type Ref struct {
	bytes []byte
	file  *File
}

// Bytes returns the held bytes. They must not be written, nor used after
// Release.
func (r Ref) Bytes() []byte { return r.bytes }

// Slice narrows the held bytes to n from at; the hold itself is shared, so
// only one of the two is to be released.
func (r Ref) Slice(at, n int) Ref {
	r.bytes = r.bytes[at : at+n : at+n]
	return r
}

// Release gives the hold back.
func (r *Ref) Release() {
	if r.file != nil {
		r.file.release()
		r.file, r.bytes = nil, nil
	}
}
