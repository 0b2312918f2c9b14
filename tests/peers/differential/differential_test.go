// Package differential makes the same raw gRPC calls to ipcsd and to containerd's own content store and compares the
// answers, call by call.
package differential

import (
	"regexp"
	"strings"
	"testing"

	"ipcs/tests/peers/internal/process"
)

// crashed is the last answer of a store that did not survive a case.
const crashed = "the process crashed"

// testCase is a list of calls, made to a fresh store.
type testCase struct {
	name string
	run  func(*session)
	// better names the calls in which ipcsd differs on purpose.
	better []difference
}

// difference is one call with both answers and the reason. `call` is a prefix of the call's description; it stands
// for the n-th (from 1) of the matching calls, 0: for all of them.
type difference struct {
	call      string
	nth       int
	reference string // a prefix of the reference's result
	// referenceOr is another one that it may give as well, by chance of time; empty: none.
	referenceOr string
	ipcsd       string // a prefix of ipcsd's result
	why         string
}

// ran is what one store answered to one case.
type ran struct {
	answers []answer
	alive   bool
}

func play(t *testing.T, program string, c testCase) ran {
	t.Helper()
	daemon := process.Start(t, program)
	s := newSession(process.Context(t), daemon.Client())
	c.run(s)
	alive := daemon.Alive()
	daemon.Stop()
	return ran{s.answers, alive}
}

func TestDifferential(t *testing.T) {
	ipcsd, reference := process.Ipcsd(t), process.ReferenceStore(t)
	compared := 0
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			ours, theirs := play(t, ipcsd, c), play(t, reference, c)
			if !ours.alive {
				t.Fatal("ipcsd crashed")
			}
			compare(t, c, ours, theirs)
			compared += len(ours.answers)
			if testing.Verbose() {
				for _, a := range theirs.answers {
					t.Logf("%s\n  %s %s", a.call, a.result, a.message)
				}
			}
		})
	}
	if compared < leastCalls {
		t.Errorf("only %d calls were compared, at least %d are expected", compared, leastCalls)
	}
	t.Logf("%d calls compared in %d cases", compared, len(cases()))
}

func compare(t *testing.T, c testCase, ours, theirs ran) {
	t.Helper()
	used := make([]bool, len(c.better))
	matched := make([]int, len(c.better))
	if len(ours.answers) != len(theirs.answers) {
		t.Fatalf("ipcsd was asked %d times, the reference %d times", len(ours.answers), len(theirs.answers))
	}
	for i, our := range ours.answers {
		their := theirs.answers[i]
		if our.call != their.call {
			t.Fatalf("call %d: the case asked %s of ipcsd and %s of the reference", i, our.call, their.call)
		}
		expected := -1
		for n, d := range c.better {
			if strings.HasPrefix(our.call, d.call) {
				matched[n]++
				if d.nth == 0 || d.nth == matched[n] {
					expected = n
				}
			}
		}
		if expected < 0 {
			if our.result != their.result {
				t.Errorf("%s\n  ipcsd:     %s %s\n  reference: %s %s", our.call, our.result, our.message, their.result, their.message)
			}
			checkMessage(t, our, their)
			continue
		}
		d := c.better[expected]
		used[expected] = true
		known := strings.HasPrefix(their.result, d.reference) || (d.referenceOr != "" && strings.HasPrefix(their.result, d.referenceOr))
		if !known {
			t.Errorf("%s\n  reference: %s %s\n  known as:  %s (%s)", our.call, their.result, their.message, d.reference, d.why)
		}
		if !strings.HasPrefix(our.result, d.ipcsd) {
			t.Errorf("%s\n  ipcsd:  %s %s\n  should: %s (%s)", our.call, our.result, our.message, d.ipcsd, d.why)
		}
	}
	for n, d := range c.better {
		if d.call == crashed {
			if theirs.alive {
				t.Errorf("the reference did not crash: %s", d.why)
			}
			used[n] = true
		}
		if !used[n] {
			t.Errorf("no call matches the difference %q (%s)", d.call, d.why)
		}
	}
	if !theirs.alive && !knownCrash(c) {
		t.Errorf("the reference crashed")
	}
}

func knownCrash(c testCase) bool {
	for _, d := range c.better {
		if d.call == crashed {
			return true
		}
	}
	return false
}

// plain is a subject that a message can repeat as it is; others it may shorten or escape.
var plain = regexp.MustCompile(`^[!-~]{1,150}$`)

// checkMessage holds that an error of ipcsd has a text of one line, and names its subject where the reference does.
func checkMessage(t *testing.T, our, their answer) {
	t.Helper()
	if strings.HasPrefix(our.result, "OK") {
		return
	}
	switch {
	case our.message == "":
		t.Errorf("%s: %s without a message", our.call, our.result)
	case strings.Contains(our.message, "\n"):
		t.Errorf("%s: the message has several lines: %q", our.call, our.message)
	case plain.MatchString(our.subject) && strings.Contains(their.message, our.subject) && !strings.Contains(our.message, our.subject):
		t.Errorf("%s: the message does not name %s: %q", our.call, shown(our.subject), our.message)
	}
}
