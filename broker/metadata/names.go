package metadata

import (
	"fmt"
	"strings"

	"github.com/rocketlog/rocketlog/message"
)

// Permission bits of a topic and of a broker (Java's PermName).
const (
	PermInherit = 1 << 0
	PermWrite   = 1 << 1
	PermRead    = 1 << 2
)

// Lengths that Java's TopicValidator and the store allow.
const (
	TopicNameMax      = 127
	retryTopicNameMax = 255
	groupNameMax      = 120
)

// TopicNameFault says what is wrong with the name of a topic, in words for a client; nothing is the empty text.
func TopicNameFault[S string | []byte](name S) string {
	switch {
	case strings.TrimSpace(string(name)) == "":
		return "The specified topic is blank."
	case !plainName(name):
		return fmt.Sprintf("The specified topic: %s, contains illegal characters, allowing only ^[%%|a-zA-Z0-9_-]+$", string(name))
	}
	longest := TopicNameMax
	if strings.HasPrefix(string(name), message.RetryTopicPrefix) || strings.HasPrefix(string(name), message.DLQTopicPrefix) {
		longest = retryTopicNameMax
	}
	if len(name) > longest {
		return fmt.Sprintf("The specified topic is longer than topic max length %d: it has %d.", longest, len(name))
	}
	return ""
}

// GroupNameFault says what is wrong with the name of a group, in words for a client; nothing is the empty text.
func GroupNameFault(name string) string {
	switch {
	case strings.TrimSpace(name) == "":
		return "The specified group is blank."
	case !plainName(name):
		return fmt.Sprintf("The specified group: %s, contains illegal characters, allowing only ^[%%|a-zA-Z0-9_-]+$", name)
	case len(name) > groupNameMax:
		return fmt.Sprintf("The specified group is longer than group max length %d: it has %d.", groupNameMax, len(name))
	}
	return ""
}

// plainName reports whether every byte is one that names of topics and groups may have.
func plainName[S string | []byte](name S) bool {
	for i := range len(name) {
		if !plainByte[name[i]] {
			return false
		}
	}
	return true
}

var plainByte = func() (t [256]bool) {
	for _, c := range []byte("%|abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") {
		t[c] = true
	}
	return t
}()
