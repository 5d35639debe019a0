package message

import (
	"testing"
	"unicode/utf16"
)

func TestHashString(t *testing.T) {
	tests := []struct {
		text string
		hash int32
	}{
		{"", 0},
		{"a", 97},
		{"TopicTest#k1", 2746024},
		{"键7", 1183945},
		{"😀x", 54959989},
		{"GT_basic#amqseqa", -2147483648},
		{"xfjfxtf", -2147483648},
	}
	for _, tt := range tests {
		if got := HashString(tt.text); got != tt.hash {
			t.Errorf("%q: %d, want %d", tt.text, got, tt.hash)
		}
		if got := TagsCode([]byte(tt.text)); got != int64(tt.hash) {
			t.Errorf("tags %q: %d, want %d", tt.text, got, tt.hash)
		}
	}
}

// TestHashMalformed holds hashes of bytes that are no UTF-8, as JDK 17 decodes and hashes them.
func TestHashMalformed(t *testing.T) {
	tests := []struct {
		hex  string
		hash int32
	}{
		{"9f7fe2e2ed", 460417275},
		{"01bfdfc2c2", 2018291393},
		{"fff0e090", 2017367872},
		{"f041c1bf", 1954453124},
		{"7f417fe2", 3915392},
		{"41f5f4bf41", 2077331269},
		{"a041f420ff", 456539702},
		{"c09f20c1c1", -1948986336},
		{"f5bfedc201", -1886105407},
		{"f5c2c1ed20", -1886105376},
		{"a0f480ff", 65074269},
		{"bfc0f5e0f0", -1886039875},
		{"dff4e2e2", 2017367872},
		{"9f01f18ff58f", 456663609},
		{"9feddfed", 2017367872},
		{"f4a0e0edf090", -1886039875},
		{"bf9fed9fed", 2017367872},
		{"20a09f01", 65962049},
		{"dfe00101bfe0", -352868512},
		{"90ed8fc2", 65074269},
		{"8fdf41ed20e2", -290016167},
		{"df0101f48f8f", 1952360128},
		{"c0edefe2", 2017367872},
		{"f1ef01e0f5", -1949016127},
		{"eff4bfc2a0", 2017302499},
		{"01e0e0f1", 65104060},
		{"c280ffed", 2220064},
		{"f40101c2f0", 393687357},
	}
	for _, tt := range tests {
		if got := HashString(unhex(t, tt.hex)); got != tt.hash {
			t.Errorf("%s: %d, want %d", tt.hex, got, tt.hash)
		}
	}
}

// TestHashOfAnyLength has a character that is not ASCII at each place of texts of each length, and nowhere.
func TestHashOfAnyLength(t *testing.T) {
	const wide = '键'
	for n := range 70 {
		for at := range n + 1 {
			text := make([]rune, n)
			for i := range text {
				text[i] = rune(' ' + (i*37+n)%96)
			}
			if at < n {
				text[at] = wide
			}
			want := int32(0)
			for _, unit := range utf16.Encode(text) {
				want = 31*want + int32(unit)
			}
			if got := HashString(string(text)); got != want {
				t.Fatalf("%q: %d, want %d", string(text), got, want)
			}
			var h Hasher
			h.Write([]byte(string(text[:n/3])))
			h.Write([]byte(string(text[n/3:])))
			if h.Sum() != want {
				t.Fatalf("%q in two pieces: %d, want %d", string(text), h.Sum(), want)
			}
		}
	}
}

func TestHasherTakesPieces(t *testing.T) {
	var h Hasher
	h.WriteString("Topic")
	h.Write([]byte("键"))
	if err := h.WriteByte('#'); err != nil {
		t.Fatal(err)
	}
	h.Write([]byte("k1"))
	if want := HashString("Topic键#k1"); h.Sum() != want {
		t.Fatalf("%d, want %d", h.Sum(), want)
	}
}
