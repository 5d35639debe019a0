package invariants

// Breakage is one way in which a build with the tag "broken" can be wrong on
// purpose, for the campaigns to prove that they notice. In any other build
// Broken is false at compile time, and nothing of it is left.
type Breakage int32

// The breakages.
const (
	Whole                 Breakage = iota // nothing is broken
	AckBeforeSync                         // a put is answered before its sync
	DispatchBeforeDurable                 // consumers are given what is not on disk yet
	TrustLengths                          // recovery believes every record whose lengths agree
)

// String names the breakage.
func (b Breakage) String() string {
	return [...]string{"whole", "acknowledge before the sync", "dispatch before durable", "trust lengths in recovery"}[b]
}
