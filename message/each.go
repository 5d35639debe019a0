package message

// EachRecord calls visit for each of the records that lie back to back in the segments. It ends at the first that is none.
func EachRecord(segments [][]byte, visit func(Record)) error {
	for _, segment := range segments {
		for len(segment) > 0 {
			r, err := ParseRecord(segment)
			if err != nil {
				return err
			}
			visit(r)
			segment = segment[r.Size():]
		}
	}
	return nil
}
