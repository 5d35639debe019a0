package message

import (
	"bytes"
	"iter"
)

// The bytes between the parts of stored properties.
const (
	nameSeparator     = 0x01 // behind a name
	propertySeparator = 0x02 // behind a value
)

// Properties is the stored form of a message's properties: for each one its name, 0x01, its value,
// 0x02; the last 0x02 may be missing. It is read by the rules of Java's
// MessageDecoder.string2messageProperties: a piece without a name, without 0x01 or without a value
// does not count, and of two with one name the later wins.
type Properties []byte

// piece returns the text up to the next separator, and what follows the separator.
func (p Properties) piece() (piece, rest Properties) {
	if end := bytes.IndexByte(p, propertySeparator); end >= 0 {
		return p[:end:end], p[end+1:]
	}
	return p, nil
}

// value returns the value of a piece if the piece is a property called name. A name holds no
// separator, so the byte behind it is the first one of the piece.
func (p Properties) value(name string) ([]byte, bool) {
	n := len(name)
	if n > 0 && len(p) > n+1 && p[n] == nameSeparator && string(p[:n]) == name {
		return p[n+1:], true
	}
	return nil, false
}

// Get returns the value of the property called name. The value aliases p.
func (p Properties) Get(name string) (value []byte, ok bool) {
	for len(p) > 0 {
		var piece Properties
		piece, p = p.piece()
		if v, found := piece.value(name); found {
			value, ok = v, true
		}
	}
	return value, ok
}

// Find looks up many properties in one pass: values[i] becomes that of names[i], or nil when it is absent. The values alias
// p.
func (p Properties) Find(names []string, values [][]byte) {
	clear(values[:len(names)])
	for len(p) > 0 {
		var piece Properties
		piece, p = p.piece()
		if len(piece) == 0 {
			continue
		}
		for i, name := range names {
			if len(name) == 0 || piece[0] != name[0] {
				continue
			}
			if v, found := piece.value(name); found {
				values[i] = v
			}
		}
	}
}

// All yields every property that counts, in stored order. A name may come twice; the later wins.
func (p Properties) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for p := p; len(p) > 0; {
			var piece Properties
			piece, p = p.piece()
			at := bytes.IndexByte(piece, nameSeparator)
			if at <= 0 || at+1 >= len(piece) {
				continue
			}
			if !yield(piece[:at:at], piece[at+1:]) {
				return
			}
		}
	}
}

// DispatchProperties are the properties that the dispatch of a stored message looks at. An absent
// one is nil.
type DispatchProperties struct {
	Tags, Keys, UniqueKey, DelayLevel []byte
	MultiDispatch, MultiQueueOffset   []byte // see [Record.LightQueues]
}

// Dispatch finds the properties that dispatch needs in one pass. The values alias p.
func (p Properties) Dispatch() (d DispatchProperties) {
	for len(p) > 0 {
		var piece Properties
		piece, p = p.piece()
		if len(piece) == 0 {
			continue
		}
		switch piece[0] {
		case PropertyTags[0]:
			if v, ok := piece.value(PropertyTags); ok {
				d.Tags = v
			}
		case PropertyKeys[0]:
			if v, ok := piece.value(PropertyKeys); ok {
				d.Keys = v
			}
		case PropertyUniqueKey[0]:
			if v, ok := piece.value(PropertyUniqueKey); ok {
				d.UniqueKey = v
			}
		case PropertyDelayLevel[0]:
			if v, ok := piece.value(PropertyDelayLevel); ok {
				d.DelayLevel = v
			}
		case PropertyMultiDispatch[0]:
			if v, ok := piece.value(PropertyMultiDispatch); ok {
				d.MultiDispatch = v
			} else if v, ok := piece.value(PropertyMultiQueueOffset); ok {
				d.MultiQueueOffset = v
			}
		}
	}
	return d
}

// WaitStored tells whether the sender wants to wait until the message is stored as the broker's
// settings ask: the property WAIT is absent or true (Java: Message.isWaitStoreMsgOK).
func (p Properties) WaitStored() bool {
	v, ok := p.Get(PropertyWait)
	return !ok || bytes.EqualFold(v, []byte("true"))
}

// AppendProperty appends one property to stored properties and returns the result. It first closes
// the last property if that is open. An empty value is written, though no reader will see it.
func AppendProperty[T string | []byte](dst Properties, name string, value T) Properties {
	if len(dst) > 0 && dst[len(dst)-1] != propertySeparator {
		dst = append(dst, propertySeparator)
	}
	dst = append(dst, name...)
	dst = append(dst, nameSeparator)
	dst = append(dst, value...)
	return append(dst, propertySeparator)
}

// Delete returns properties without those called name: p itself when there is none, else new memory.
func (p Properties) Delete(name string) Properties {
	if _, ok := p.Get(name); !ok {
		return p
	}
	kept := make(Properties, 0, len(p))
	for len(p) > 0 {
		var piece Properties
		piece, p = p.piece()
		if _, found := piece.value(name); !found && len(piece) > 0 {
			kept = append(append(kept, piece...), propertySeparator)
		}
	}
	return kept
}

// Set returns new properties in which name has the given value, once.
func (p Properties) Set(name, value string) Properties {
	p = p.Delete(name)
	out := make(Properties, 0, len(p)+len(name)+len(value)+3)
	return AppendProperty(append(out, p...), name, value)
}
