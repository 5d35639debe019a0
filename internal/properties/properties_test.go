package properties

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []Entry
	}{
		{"separators", "a=1\nb:2\nc 3\nd\t4\ne = 5\nf : 6\ng  = = 7\n", []Entry{{"a", "1", 1}, {"b", "2", 2}, {"c", "3", 3}, {"d", "4", 4}, {"e", "5", 5}, {"f", "6", 6}, {"g", "= 7", 7}}},
		{"comments and blanks", "# a=1\n\n  ! b=2\n \t\nc=3 # no comment\n", []Entry{{"c", "3 # no comment", 5}}},
		{"line ends", "a=1\r\nb=2\rc=3", []Entry{{"a", "1", 1}, {"b", "2", 2}, {"c", "3", 3}}},
		{"no value", "a\nb=\n=c\n", []Entry{{"a", "", 1}, {"b", "", 2}, {"", "c", 3}}},
		{"continued", "a=1,\\\n   2,\\\r\n\t3\nb=4", []Entry{{"a", "1,2,3", 1}, {"b", "4", 4}}},
		{"continued over comment signs", "a=1\\\n#2\n", []Entry{{"a", "1#2", 1}}},
		{"continued key", "ab\\\n  cd=1", []Entry{{"abcd", "1", 1}}},
		{"escaped backslash at the end", "a=1\\\\\nb=2", []Entry{{"a", `1\`, 1}, {"b", "2", 2}}},
		{"comment does not go on", "#a\\\nb=2", []Entry{{"b", "2", 2}}},
		{"backslash at the very end", `a=1\`, []Entry{{"a", "1", 1}}},
		{"escapes", `a\ b\=c\:d = \t\n\r\f\q\\` + "\n", []Entry{{"a b=c:d", "\t\n\r\fq\\", 1}}},
		{"unicode", `a=\u00fc\uD83D\uDE00x\uD83D` + "\nü=é", []Entry{{"a", "ü😀x\uFFFD", 1}, {"ü", "é", 2}}},
		{"not UTF-8", "a=\xff", []Entry{{"a", "\uFFFD", 1}}},
		{"byte order mark", "\xEF\xBB\xBFa=1", []Entry{{"a", "1", 1}}},
		{"trailing space", "a=1 \n", []Entry{{"a", "1 ", 1}}},
		{"empty", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Parse("f", []byte(c.text))
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v %v, want %+v", got, err, c.want)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"a=1\nb=\\u12":       `f.conf:2: b: malformed escape`,
		"\n\nb=\\u12zz34":    `f.conf:3: b: malformed escape`,
		"\\u00g0=1":          `f.conf:1: malformed escape`,
		"x=1\\\n2\ny=\\uABC": `f.conf:3: y: malformed escape`,
	} {
		_, err := Parse("f.conf", []byte(text))
		var place *Error
		if !errors.As(err, &place) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

type store struct {
	Path string `property:"storePathRootDir"`
}

type options struct {
	store
	Name    string  `property:"brokerName"`
	Port    int     `property:"listenPort"`
	Perm    int8    `property:"perm"`
	On      bool    `property:"autoCreateTopicEnable"`
	Ratio   float64 `property:"ratio"`
	Ignored func()
	Bad     []int `property:"bad"`
}

func TestLoad(t *testing.T) {
	var o options
	var other struct {
		Port int64 `property:"listenPort"`
	}
	const text = "brokerName = b \nlistenPort=10911\nautoCreateTopicEnable=TRUE\nratio=0.75\nperm=-6\nstorePathRootDir=/s\n"
	warnings, err := Load("f", []byte(text), &o, &other)
	want := options{store: store{"/s"}, Name: "b", Port: 10911, Perm: -6, On: true, Ratio: 0.75}
	if err != nil || warnings != nil || !reflect.DeepEqual(o, want) || other.Port != 10911 {
		t.Errorf("got %+v %+v %v %v", o, other, warnings, err)
	}
}

func TestLoadWarns(t *testing.T) {
	const text = "brokerNam=b\nlistenport=1\nzzzzzzzzzzzzzzz=1\nputMessageTimeout=1\nsendMessageThreadPoolNums=4\naclEnable=true\nperm=1\nperm=2\n"
	var o options
	warnings, err := Load("b.conf", []byte(text), &o)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"b.conf:1: brokerNam: is unknown and has no effect; did you mean brokerName?",
		"b.conf:2: listenport: is unknown and has no effect; did you mean listenPort?",
		"b.conf:3: zzzzzzzzzzzzzzz: is unknown and has no effect",
		"b.conf:4: putMessageTimeout: has no effect, neither here nor in RocketMQ",
		"b.conf:5: sendMessageThreadPoolNums: is a key of RocketMQ without effect here",
		"b.conf:6: aclEnable: is not supported: every client is let in",
		"b.conf:8: perm: is set in line 7 already; this line counts",
	}
	var got []string
	for _, w := range warnings {
		got = append(got, w.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if o.Perm != 2 {
		t.Errorf("perm is %d", o.Perm)
	}
}

func TestLoadErrorsNameThePlace(t *testing.T) {
	const text = "listenPort=1o911\nperm=128\nautoCreateTopicEnable=yes\nratio=x\nbad=1\nbrokerName=b\n"
	var o options
	_, err := Load("b.conf", []byte(text), &o)
	want := strings.Join([]string{
		`b.conf:1: listenPort: "1o911" is no whole number`,
		`b.conf:2: perm: 128 is out of range`,
		`b.conf:3: autoCreateTopicEnable: "yes" is neither true nor false`,
		`b.conf:4: ratio: "x" is no number`,
		`b.conf:5: bad: a []int cannot be set`,
	}, "\n")
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if o.Name != "b" || o.Port != 0 {
		t.Errorf("got %+v", o)
	}
	if _, err := Load("b.conf", []byte(`a=\u1`), &o); err == nil {
		t.Error("bad syntax is no error")
	}
	if got := (&Error{Key: "k", Reason: "r"}).Error(); got != "k: r" {
		t.Errorf("got %q", got)
	}
}

func TestEntriesAndFormat(t *testing.T) {
	got := string(Format(Entries(&struct {
		store
		Name string `property:"brokerName"`
		Port int    `property:"listenPort"`
		On   bool   `property:"a=b"`
	}{store: store{" a\\b\n"}, Name: "x=y:z #!\t\r\f", Port: 3})))
	want := "a\\=b=false\nbrokerName=x=y:z #!\\t\\r\\f\nlistenPort=3\nstorePathRootDir=\\ a\\\\b\\n\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestRocketMQKeysAreListedOnce(t *testing.T) {
	seen := make(map[string]bool)
	for _, key := range slices.Concat(strings.Fields(inertKeys), strings.Fields(rocketMQKeys)) {
		if seen[key] {
			t.Errorf("%s is listed twice", key)
		}
		seen[key] = true
	}
	for key := range weightyKeys {
		if seen[key] {
			t.Errorf("%s is listed as weighty and otherwise", key)
		}
	}
}

// FuzzParse checks invariant 2 on whatever parses.
func FuzzParse(f *testing.F) {
	f.Add([]byte("a=1\nb : 2\\\n 3\n#c\n\\u00fc\\ x=\\t\\\\\n"))
	f.Add([]byte("=\n \\\n\\"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := Parse("f", data)
		if err != nil {
			return
		}
		again, err := Parse("f", Format(entries))
		if err != nil || len(again) != len(entries) {
			t.Fatalf("%q: %+v became %+v %v", data, entries, again, err)
		}
		for i := range again {
			if again[i].Key != entries[i].Key || again[i].Value != entries[i].Value {
				t.Fatalf("%q: %+v became %+v", data, entries[i], again[i])
			}
		}
		var o options
		_, _ = Load("f", data, &o)
	})
}
