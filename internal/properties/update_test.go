package properties

import "testing"

func TestUpdate(t *testing.T) {
	changes := []Entry{{Key: "b", Value: "new value"}, {Key: "z", Value: "9"}, {Key: "b", Value: "newer"}}
	for data, want := range map[string]string{
		"":                               "b=newer\nz=9\n",
		"# note\na = 1":                  "# note\na = 1\nb=newer\nz=9\n",
		"# b=0\nb : \\\n  old\r\n a=1\n": "# b=0\nb=newer\n a=1\nz=9\n",
		"b=1\na=2\nb=3\n\n":              "b=newer\na=2\n\nz=9\n",
		"\xEF\xBB\xBFb=1\n!x\n":          "b=newer\n!x\nz=9\n",
		"z=9\n\\u0062=1\n":               "z=9\nb=newer\n",
	} {
		if got := string(Update([]byte(data), changes)); got != want {
			t.Errorf("Update(%q) = %q, want %q", data, got, want)
		}
	}
}

// What was changed reads as it was changed, whatever the file was, and nothing else changes.
func FuzzUpdate(f *testing.F) {
	f.Add([]byte("a=1\nb=2\n"), "a", " x\\")
	f.Add([]byte("a\\\n =1\n#\n"), "a ", "")
	f.Fuzz(func(t *testing.T, data []byte, key, value string) {
		before, err := Parse("", data)
		if err != nil || key == "" {
			t.Skip()
		}
		change := Entry{Key: key, Value: value}
		if same, err := Parse("", Format([]Entry{change})); err != nil || len(same) != 1 || same[0].Key != key || same[0].Value != value {
			t.Skip() // no text that a file can hold
		}
		after, err := Parse("", Update(data, []Entry{change}))
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, e := range after {
			got[e.Key] = e.Value
		}
		want := map[string]string{}
		for _, e := range before {
			want[e.Key] = e.Value
		}
		want[key] = value
		if len(got) != len(want) {
			t.Fatalf("%q: %v, want %v", data, got, want)
		}
		for k, v := range want {
			if got[k] != v {
				t.Fatalf("%q: %s is %q, want %q", data, k, got[k], v)
			}
		}
	})
}
