package filter

import (
	"bytes"

	"github.com/rocketlog/rocketlog/message"
)

// A verdict is what a condition says of a message.
type verdict uint8

const (
	no verdict = iota
	yes
	unknown // SQL's NULL
	failed  // Java throws an exception: the message does not match, whatever surrounds the condition
)

func verdictOf(b bool) verdict {
	if b {
		return yes
	}
	return no
}

// valueKind is the type that a value has in Java.
type valueKind uint8

const (
	kindNull   valueKind = iota
	kindBool             // Boolean, in integer
	kindInt              // Integer
	kindLong             // Long
	kindDouble           // Double
	kindText             // String
)

// A value is what an operand is for a message. Its zero value is NULL.
type value struct {
	kind    valueKind
	integer int64
	float   float64
	text    []byte // borrowed from the message or owned by the program; not changed
}

func (v *value) isNumber() bool {
	return v.kind == kindInt || v.kind == kindLong || v.kind == kindDouble
}

// nodeID is the place of a node in its program.
type nodeID int32

// operandKind tells where an operand's value comes from.
type operandKind uint8

const (
	operandConstant operandKind = iota
	operandProperty
	operandNode
)

// An operand is one side of a comparison. Its zero value is the literal NULL.
type operand struct {
	kind operandKind
	// negated: behind a minus sign. A negated constant holds its value with the sign; anything else is NULL then, though
	// a negated condition may still fail. Java's checks of literals do not see a negated one.
	negated  bool
	constant value
	slot     int    // of the property, see program.names
	name     string // of the property
	node     nodeID
}

func textOperand(text string) operand {
	return operand{kind: operandConstant, constant: value{kind: kindText, text: []byte(text)}}
}

// numberOperand is an Integer when it fits into one, else a Long.
func numberOperand(n int64) operand {
	kind := kindLong
	if int64(int32(n)) == n {
		kind = kindInt
	}
	return operand{kind: operandConstant, constant: value{kind: kind, integer: n}}
}

func truthOperand(b bool) operand {
	v := value{kind: kindBool}
	if b {
		v.integer = 1
	}
	return operand{kind: operandConstant, constant: v}
}

// isLiteral reports whether the operand is a constant as written.
func (o *operand) isLiteral() bool { return o.kind == operandConstant && !o.negated }

// isTruth reports whether the operand is TRUE, FALSE or NULL as written.
func (o *operand) isTruth() bool {
	return o.isLiteral() && (o.constant.kind == kindBool || o.constant.kind == kindNull)
}

// negate puts a minus sign before the operand.
func (o operand) negate() operand {
	o.negated = true
	if o.kind == operandConstant {
		if !o.constant.isNumber() {
			o.constant = value{}
		}
		o.constant.integer, o.constant.float = -o.constant.integer, -o.constant.float
	}
	return o
}

// nodeOp is what a node does.
type nodeOp uint8

const (
	opAnd nodeOp = iota // parts
	opOr                // parts
	opNot               // one part
	opCast
	opIsNull
	opIsNotNull
	opEqual
	opNotEqual
	opGreater
	opGreaterEqual
	opLess
	opLessEqual
	opIn
	opNotIn
	opContains // this and those behind it look for the text in right
	opNotContains
	opStartsWith
	opNotStartsWith
	opEndsWith
	opNotEndsWith
)

// A node is a condition.
type node struct {
	op          nodeOp
	depth       int // of the nodes below it, and one
	parts       []nodeID
	left, right operand
	list        map[string]struct{} // of IN
}

// slotsMax is the number of properties that are found in one pass; further ones are looked for each time.
const slotsMax = 8

// A program is a compiled SQL92 expression. It is not changed once compiled.
type program struct {
	nodes []node
	root  nodeID
	names []string // of the properties it asks for, at most slotsMax
}

// add takes a node in.
func (p *program) add(n node) nodeID {
	below := 0
	for _, part := range n.parts {
		below = max(below, p.nodes[part].depth)
	}
	for _, o := range []*operand{&n.left, &n.right} {
		if o.kind == operandNode {
			below = max(below, p.nodes[o.node].depth)
		}
	}
	n.depth = below + 1
	p.nodes = append(p.nodes, n)
	return nodeID(len(p.nodes) - 1)
}

// property returns the operand for a property.
func (p *program) property(name string) operand {
	o := operand{kind: operandProperty, name: name, slot: slotsMax}
	for i, known := range p.names {
		if known == name {
			o.slot, o.name = i, known
			return o
		}
	}
	if len(p.names) < slotsMax {
		o.slot = len(p.names)
		p.names = append(p.names, name)
	}
	return o
}

// A scope is one message, as a program sees it. It lives on the stack of match.
type scope struct {
	properties message.Properties
	slots      [slotsMax][]byte // nil: the message has no such property
}

// match reports whether a message with these properties matches. It allocates nothing.
func (p *program) match(properties message.Properties) bool {
	s := scope{properties: properties}
	if len(p.names) == 1 {
		s.slots[0], _ = properties.Get(p.names[0])
	} else {
		properties.Find(p.names, s.slots[:])
	}
	return p.test(p.root, &s) == yes
}

// test is Java's evaluate of a BooleanExpression.
func (p *program) test(id nodeID, s *scope) verdict {
	n := &p.nodes[id]
	switch n.op {
	case opAnd:
		return p.join(n.parts, s, no)
	case opOr:
		return p.join(n.parts, s, yes)
	case opNot:
		return not(p.test(n.parts[0], s))
	}
	if n.op >= opContains && len(n.right.constant.text) == 0 {
		return no // Java does not look at the left side then
	}
	left, ok := p.value(&n.left, s)
	if !ok {
		return failed
	}
	switch n.op {
	case opCast:
		return cast(&left)
	case opIsNull:
		return verdictOf(left.kind == kindNull)
	case opIsNotNull:
		return verdictOf(left.kind != kindNull)
	case opIn, opNotIn:
		if left.kind != kindText {
			return unknown
		}
		_, found := n.list[string(left.text)]
		return verdictOf(found == (n.op == opIn))
	case opEqual, opNotEqual:
		right, ok := p.value(&n.right, s)
		if !ok {
			return failed
		}
		v := equal(&left, &right)
		if n.op == opNotEqual {
			return not(v)
		}
		return v
	case opGreater, opGreaterEqual, opLess, opLessEqual:
		return p.order(n, &left, s)
	}
	return search(n.op, &left, n.right.constant.text)
}

// join is AND, decided by a no, and OR, decided by a yes.
func (p *program) join(parts []nodeID, s *scope, decides verdict) verdict {
	result := no
	if decides == no {
		result = yes
	}
	for _, part := range parts {
		switch v := p.test(part, s); v {
		case decides, failed:
			return v
		case unknown:
			result = unknown
		}
	}
	return result
}

func not(v verdict) verdict {
	switch v {
	case yes:
		return no
	case no:
		return yes
	}
	return v
}

// cast is the verdict of a value that stands where a condition is wanted. A text is no truth, whatever it says.
func cast(v *value) verdict {
	switch v.kind {
	case kindNull:
		return unknown
	case kindBool:
		return verdictOf(v.integer != 0)
	}
	return no
}

// value returns what the operand is for the message, or that Java throws an exception.
func (p *program) value(o *operand, s *scope) (v value, ok bool) {
	switch o.kind {
	case operandConstant:
		return o.constant, true
	case operandNode:
		truth := p.test(o.node, s)
		if truth == failed {
			return value{}, false
		}
		if truth == unknown || o.negated {
			return value{}, true
		}
		return value{kind: kindBool, integer: int64(truth)}, true
	}
	text := []byte(nil)
	if o.slot < slotsMax {
		text = s.slots[o.slot]
	} else {
		text, _ = s.properties.Get(o.name)
	}
	if text == nil || o.negated {
		return value{}, true
	}
	return value{kind: kindText, text: text}, true
}

// equal compares two values with =.
func equal(left, right *value) verdict {
	switch {
	case left.kind == kindNull && right.kind == kindNull:
		return yes
	case left.kind == kindNull:
		return unknown
	case right.kind == kindNull:
		return no
	}
	c, ok := compare(left, right)
	if !ok {
		return failed
	}
	return verdictOf(c == 0)
}

// order compares by order. The right side is not looked at when the left is NULL.
func (p *program) order(n *node, left *value, s *scope) verdict {
	if left.kind == kindNull {
		return unknown
	}
	right, ok := p.value(&n.right, s)
	if !ok {
		return failed
	}
	if right.kind == kindNull {
		return unknown
	}
	var c int
	if left.kind == kindText && right.kind == kindText {
		var l, r float64 // two texts have no order but that of the numbers they may be
		if l, ok = parseFloat(left.text); ok {
			if r, ok = parseFloat(right.text); ok {
				c = compareFloats(l, r)
			}
		}
	} else {
		c, ok = compare(left, &right)
	}
	if !ok {
		return failed
	}
	switch n.op {
	case opGreater:
		return verdictOf(c > 0)
	case opGreaterEqual:
		return verdictOf(c >= 0)
	case opLess:
		return verdictOf(c < 0)
	}
	return verdictOf(c <= 0)
}

// compare is Java's ComparisonExpression.__compare of values that are not NULL: of two types the one becomes the other,
// and what cannot be converted fails. Types that do not meet are -1 apart, whichever is first.
func compare(left, right *value) (c int, ok bool) {
	if left.kind == kindText {
		if right.kind == kindText {
			return bytes.Compare(left.text, right.text), true
		}
		converted, ok := convert(left.text, right.kind)
		if !ok {
			return 0, false
		}
		return compare(&converted, right)
	}
	if right.kind == kindText {
		if left.kind == kindBool {
			return 0, false // Java casts the Boolean to a String here
		}
		converted, ok := convert(right.text, left.kind)
		if !ok {
			return 0, false
		}
		return compare(left, &converted)
	}
	switch {
	case left.kind == kindBool && right.kind == kindBool:
		return int(left.integer - right.integer), true
	case left.kind == kindBool || right.kind == kindBool:
		return -1, true
	case left.kind == kindDouble || right.kind == kindDouble:
		return compareFloats(left.double(), right.double()), true
	case left.integer < right.integer:
		return -1, true
	case left.integer > right.integer:
		return 1, true
	}
	return 0, true
}

// double is a number as a double.
func (v *value) double() float64 {
	if v.kind == kindDouble {
		return v.float
	}
	return float64(v.integer)
}

// convert reads a text as a value of the kind that it is compared with.
func convert(text []byte, kind valueKind) (v value, ok bool) {
	v.kind = kind
	switch kind {
	case kindBool:
		if isTrue(text) {
			v.integer = 1
		}
		return v, true
	case kindInt:
		v.integer, ok = parseInteger(text, 32)
	case kindLong:
		v.integer, ok = parseInteger(text, 64)
	default:
		v.float, ok = parseFloat(text)
	}
	return v, ok
}

// search looks for a text in a property. What is no text holds none, and the negations are not true of it either.
func search(op nodeOp, in *value, wanted []byte) verdict {
	if in.kind != kindText {
		return no
	}
	switch op {
	case opContains:
		return verdictOf(bytes.Contains(in.text, wanted))
	case opNotContains:
		return verdictOf(!bytes.Contains(in.text, wanted))
	case opStartsWith:
		return verdictOf(bytes.HasPrefix(in.text, wanted))
	case opNotStartsWith:
		return verdictOf(!bytes.HasPrefix(in.text, wanted))
	case opEndsWith:
		return verdictOf(bytes.HasSuffix(in.text, wanted))
	}
	return verdictOf(!bytes.HasSuffix(in.text, wanted))
}
