package filter

import (
	"fmt"
	"strconv"
	"strings"
)

// Bounds of an SQL92 expression. Java has none but its stack.
const (
	textMax  = 256 << 10 // bytes
	depthMax = 200       // of parentheses, signs and comparisons inside one another
)

// A SyntaxError tells what is wrong with an SQL92 expression, and where.
type SyntaxError struct {
	Text   string // the expression
	At     int    // byte in Text
	Reason string
}

// Error implements error.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("SQL92 expression %s: at byte %d: %s", abbreviate(e.Text), e.At, e.Reason)
}

// abbreviate quotes a text and keeps the quotation short.
func abbreviate(text string) string {
	if len(text) > 100 {
		text = strings.ToValidUTF8(text[:100], "") + "…"
	}
	return strconv.Quote(text)
}

// A parser turns an expression into a program, by recursive descent over the grammar that doc.go draws. Java's parser
// stops where the expression is complete and does not look at what follows beyond the next token; so does this one.
type parser struct {
	lexer lexer
	tok   token // the next one, not yet taken
	out   program
	depth int
}

// compileSQL parses an expression.
func compileSQL(text string) (*program, error) {
	if len(text) > textMax {
		return nil, &SyntaxError{Text: text, At: textMax, Reason: fmt.Sprintf("%d bytes are more than %d", len(text), textMax)}
	}
	p := &parser{lexer: lexer{text: text}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	o, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.out.root, err = p.condition(o); err != nil {
		return nil, err
	}
	if p.out.nodes[p.out.root].depth > depthMax {
		return nil, p.fault(0, "more than %d levels", depthMax)
	}
	return &p.out, nil
}

func (p *parser) fault(at int, format string, args ...any) error {
	return &SyntaxError{Text: p.lexer.text, At: at, Reason: fmt.Sprintf(format, args...)}
}

func (p *parser) unexpected(wanted string) error {
	return p.fault(p.tok.at, "%s where %s is expected", p.tok, wanted)
}

// advance takes the next token.
func (p *parser) advance() (err error) {
	p.tok, err = p.lexer.next()
	return err
}

// expect takes the next token, which must be of that kind.
func (p *parser) expect(kind tokenKind, name string) error {
	if p.tok.kind != kind {
		return p.unexpected(name)
	}
	return p.advance()
}

// condition makes an operand one side of AND, OR or NOT, or the whole: a comparison or a constant of truth is one, and a
// property, which is a text and so never true.
func (p *parser) condition(o operand) (nodeID, error) {
	switch {
	case o.kind == operandNode && !o.negated:
		return o.node, nil
	case o.kind == operandProperty && !o.negated, o.isTruth():
		return p.out.add(node{op: opCast, left: o}), nil
	}
	return 0, p.fault(p.tok.at, "the expression before it is not true or false")
}

// chain parses operands with one keyword between them.
func (p *parser) chain(keyword tokenKind, op nodeOp, next func() (operand, error)) (operand, error) {
	first, err := next()
	if err != nil || p.tok.kind != keyword {
		return first, err
	}
	c, err := p.condition(first)
	if err != nil {
		return operand{}, err
	}
	parts := []nodeID{c}
	for p.tok.kind == keyword {
		if err := p.advance(); err != nil {
			return operand{}, err
		}
		o, err := next()
		if err != nil {
			return operand{}, err
		}
		if c, err = p.condition(o); err != nil {
			return operand{}, err
		}
		parts = append(parts, c)
	}
	return p.node(node{op: op, parts: parts}), nil
}

func (p *parser) or() (operand, error) { return p.chain(tokenOr, opOr, p.and) }

func (p *parser) and() (operand, error) { return p.chain(tokenAnd, opAnd, p.equality) }

func (p *parser) node(n node) operand { return operand{kind: operandNode, node: p.out.add(n)} }

// equality parses comparisons with =, <> and IS between them.
func (p *parser) equality() (left operand, err error) {
	if left, err = p.comparison(); err != nil {
		return left, err
	}
	for {
		op := p.tok
		switch op.kind {
		case tokenEqual, tokenNotEqual:
			left, err = p.equals(left, op)
		case tokenIs:
			left, err = p.isNull(left)
		default:
			return left, nil
		}
		if err != nil {
			return left, err
		}
	}
}

// nest counts a level of parentheses and signs, before its inside is parsed.
func (p *parser) nest() error {
	if p.depth++; p.depth > depthMax {
		return p.fault(p.tok.at, "more than %d levels", depthMax)
	}
	return nil
}

func (p *parser) equals(left operand, op token) (operand, error) {
	if err := p.advance(); err != nil {
		return left, err
	}
	right, err := p.comparison()
	if err != nil {
		return left, err
	}
	for _, o := range []operand{left, right} {
		if o.isLiteral() && o.constant.kind == kindNull {
			return left, p.fault(op.at, "NULL cannot be compared; IS NULL can be asked")
		}
	}
	if left.isTruth() && right.isLiteral() && !right.isTruth() {
		return left, p.fault(op.at, "true or false cannot be compared with the value behind it")
	}
	kind := opEqual
	if op.kind == tokenNotEqual {
		kind = opNotEqual
	}
	return p.node(node{op: kind, left: left, right: right}), nil
}

func (p *parser) isNull(left operand) (operand, error) {
	if err := p.advance(); err != nil {
		return left, err
	}
	op := opIsNull
	if p.tok.kind == tokenNot {
		op = opIsNotNull
		if err := p.advance(); err != nil {
			return left, err
		}
	}
	if err := p.expect(tokenNull, "NULL"); err != nil {
		return left, err
	}
	return p.node(node{op: op, left: left}), nil
}

// orderOps are the comparisons by order.
var orderOps = map[tokenKind]nodeOp{
	tokenGreater: opGreater, tokenGreaterEqual: opGreaterEqual, tokenLess: opLess, tokenLessEqual: opLessEqual,
}

// comparison parses what binds stronger than =: order, and the operators that are words.
func (p *parser) comparison() (left operand, err error) {
	if left, err = p.unary(); err != nil {
		return left, err
	}
	for {
		not := p.tok.kind == tokenNot
		if not {
			if err := p.advance(); err != nil {
				return left, err
			}
		}
		op := p.tok
		switch op.kind {
		case tokenContains, tokenStartsWith, tokenEndsWith:
			left, err = p.search(left, op.kind, not)
		case tokenBetween:
			left, err = p.between(left, not)
		case tokenIn:
			left, err = p.in(left, not)
		default:
			order, ok := orderOps[op.kind]
			switch {
			case not:
				return left, p.unexpected("CONTAINS, STARTSWITH, ENDSWITH, BETWEEN or IN")
			case !ok:
				return left, nil
			}
			left, err = p.order(left, order)
		}
		if err != nil {
			return left, err
		}
	}
}

// ordered refuses what has no order: constants that are no numbers, and conditions.
func (p *parser) ordered(list ...operand) error {
	for _, o := range list {
		if o.kind == operandNode && !o.negated || o.isLiteral() && !o.constant.isNumber() {
			return p.fault(p.tok.at, "only numbers and properties can be compared by order")
		}
	}
	return nil
}

func (p *parser) order(left operand, op nodeOp) (operand, error) {
	if err := p.advance(); err != nil {
		return left, err
	}
	right, err := p.unary()
	if err != nil {
		return left, err
	}
	if err := p.ordered(left, right); err != nil {
		return left, err
	}
	return p.node(node{op: op, left: left, right: right}), nil
}

func (p *parser) between(value operand, not bool) (operand, error) {
	at := p.tok.at
	if err := p.advance(); err != nil {
		return value, err
	}
	low, err := p.unary()
	if err != nil {
		return value, err
	}
	if err := p.expect(tokenAnd, "AND"); err != nil {
		return value, err
	}
	high, err := p.unary()
	if err != nil {
		return value, err
	}
	if err := p.ordered(value, low, high); err != nil {
		return value, err
	}
	if not {
		below := p.out.add(node{op: opLess, left: value, right: low})
		above := p.out.add(node{op: opGreater, left: value, right: high})
		return p.node(node{op: opOr, parts: []nodeID{below, above}}), nil
	}
	if low.isLiteral() && high.isLiteral() {
		if c, ok := compare(&high.constant, &low.constant); !ok || c < 0 {
			return value, p.fault(at, "the first value of BETWEEN is greater than the second")
		}
	}
	from := p.out.add(node{op: opGreaterEqual, left: value, right: low})
	to := p.out.add(node{op: opLessEqual, left: value, right: high})
	return p.node(node{op: opAnd, parts: []nodeID{from, to}}), nil
}

// searchOps are the operators that look for a text, and their negations.
var searchOps = map[tokenKind][2]nodeOp{
	tokenContains:   {opContains, opNotContains},
	tokenStartsWith: {opStartsWith, opNotStartsWith},
	tokenEndsWith:   {opEndsWith, opNotEndsWith},
}

func (p *parser) search(left operand, kind tokenKind, not bool) (operand, error) {
	if err := p.advance(); err != nil {
		return left, err
	}
	text, err := p.quoted()
	if err != nil {
		return left, err
	}
	n := node{op: searchOps[kind][0], left: left, right: textOperand(text)}
	if not {
		n.op = searchOps[kind][1]
	}
	return p.node(n), nil
}

// quoted takes a text in quotes.
func (p *parser) quoted() (string, error) {
	if p.tok.kind != tokenString {
		return "", p.unexpected("a text in quotes")
	}
	text := unquote(p.tok.text)
	return text, p.advance()
}

func (p *parser) in(left operand, not bool) (operand, error) {
	at := p.tok.at
	if err := p.advance(); err != nil {
		return left, err
	}
	if err := p.expect(tokenOpen, "("); err != nil {
		return left, err
	}
	list := map[string]struct{}{}
	for {
		text, err := p.quoted()
		if err != nil {
			return left, err
		}
		list[text] = struct{}{}
		if p.tok.kind != tokenComma {
			break
		}
		if err := p.advance(); err != nil {
			return left, err
		}
	}
	if err := p.expect(tokenClose, ")"); err != nil {
		return left, err
	}
	if left.kind != operandProperty || left.negated {
		return left, p.fault(at, "IN asks for a property before it")
	}
	n := node{op: opIn, left: left, list: list}
	if not {
		n.op = opNotIn
	}
	return p.node(n), nil
}

// unary parses signs and NOT, which bind stronger than any comparison.
func (p *parser) unary() (operand, error) {
	kind := p.tok.kind
	if kind != tokenPlus && kind != tokenMinus && kind != tokenNot {
		return p.primary()
	}
	if err := p.nest(); err != nil {
		return operand{}, err
	}
	defer func() { p.depth-- }()
	if err := p.advance(); err != nil {
		return operand{}, err
	}
	o, err := p.unary()
	if err != nil || kind == tokenPlus {
		return o, err
	}
	if kind == tokenMinus {
		return o.negate(), nil
	}
	c, err := p.condition(o)
	if err != nil {
		return operand{}, err
	}
	return p.node(node{op: opNot, parts: []nodeID{c}}), nil
}

func (p *parser) primary() (o operand, err error) {
	text, at := p.tok.text, p.tok.at
	switch p.tok.kind {
	case tokenName:
		o = p.out.property(text)
	case tokenString:
		o = textOperand(unquote(text))
	case tokenDecimal:
		n, err := strconv.ParseInt(strings.TrimRight(text, "lL"), 10, 64)
		if err != nil {
			return o, p.fault(at, "%s does not fit into 64 bits", text)
		}
		o = numberOperand(n)
	case tokenFloat:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || f == 0 {
			return o, p.fault(at, "%s is not between the least and the greatest double", text)
		}
		o = operand{kind: operandConstant, constant: value{kind: kindDouble, float: f}}
	case tokenTrue, tokenFalse:
		o = truthOperand(p.tok.kind == tokenTrue)
	case tokenNull:
		o = operand{kind: operandConstant}
	case tokenOpen:
		return p.parenthesis()
	default:
		return o, p.unexpected("a property, a constant or (")
	}
	return o, p.advance()
}

func (p *parser) parenthesis() (o operand, err error) {
	if err := p.nest(); err != nil {
		return o, err
	}
	defer func() { p.depth-- }()
	if err := p.advance(); err != nil {
		return o, err
	}
	if o, err = p.or(); err != nil {
		return o, err
	}
	return o, p.expect(tokenClose, ")")
}
