package properties

import "bytes"

// Update returns the file with the changed entries in place of those it has, and behind them those that it has not. All
// else stays as it is, comments too.
func Update(data []byte, changes []Entry) []byte {
	values := map[string]string{}
	for _, e := range changes {
		values[e.Key] = e.Value
	}
	var out []byte
	written := map[string]bool{}
	for p := (parser{rest: data}); len(p.rest) > 0; {
		raw := p.rest
		key := p.key()
		raw = raw[:len(raw)-len(p.rest)]
		value, changed := values[key]
		switch {
		case !changed:
			out = append(out, raw...)
		case !written[key]: // a second line of the same key would count in place of the first
			out = append(out, Format([]Entry{{Key: key, Value: value}})...)
			written[key] = true
		}
	}
	for _, e := range changes {
		if written[e.Key] {
			continue
		}
		written[e.Key] = true
		out = endLine(out)
		out = append(out, Format([]Entry{{Key: e.Key, Value: values[e.Key]}})...)
	}
	return out
}

// endLine ends the last line of a file, one that would go on in the next by an empty line.
func endLine(out []byte) []byte {
	if len(out) == 0 {
		return out
	}
	if !bytes.HasSuffix(out, []byte("\n")) {
		out = append(out, '\n')
	}
	if continues(bytes.TrimSuffix(out[:len(out)-1], []byte("\r"))) {
		out = append(out, '\n')
	}
	return out
}

// key passes over one logical line, or one that is no setting, and returns the key that it sets, empty when it sets none.
func (p *parser) key() string {
	text, _ := p.natural()
	text = bytes.TrimPrefix(text, []byte("\xEF\xBB\xBF"))
	if len(text) == 0 || text[0] == '#' || text[0] == '!' {
		return ""
	}
	logical := bytes.Clone(text)
	for continues(text) {
		logical = logical[:len(logical)-1]
		var ok bool
		if text, ok = p.natural(); !ok {
			break
		}
		logical = append(logical, text...)
	}
	raw, _ := split(logical)
	key, err := unescape(raw)
	if err != nil {
		return ""
	}
	return key
}
