package protocol

import "strconv"

// Language is what a peer is written in.
type Language byte

// The languages, numbered as in Java's LanguageCode.
const (
	LanguageJava Language = iota
	LanguageCPP
	LanguageDotNet
	LanguagePython
	LanguageDelphi
	LanguageErlang
	LanguageRuby
	LanguageOther
	LanguageHTTP
	LanguageGo
	LanguagePHP
	LanguageOMS
	LanguageRust
	LanguageNodeJS
)

var languageNames = [...]string{
	"JAVA", "CPP", "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY", "OTHER", "HTTP", "GO", "PHP", "OMS", "RUST", "NODE_JS",
}

// String returns the language's name on the wire.
func (l Language) String() string {
	if int(l) < len(languageNames) {
		return languageNames[l]
	}
	return strconv.Itoa(int(l))
}

// Known says whether the language has a name.
func (l Language) Known() bool { return int(l) < len(languageNames) }

// ParseLanguage returns the language of that name; LanguageOther when there is none.
func ParseLanguage(name []byte) Language {
	for l, want := range languageNames {
		if string(name) == want {
			return Language(l)
		}
	}
	return LanguageOther
}

// Versions are the ordinals of Java's MQVersion: the field that each command carries. Peers behave by them.
const (
	Version3_0_11  = 37
	Version3_1_8   = 62 // snapshot
	Version3_4_9   = 121
	Version4_1_0   = 232 // snapshot
	Version4_9_3   = 399
	Version4_9_4   = 401
	Version5_0_0   = 413
	Version5_3_1   = 475
	Version5_5_0   = 513
	CurrentVersion = Version5_5_0
)
