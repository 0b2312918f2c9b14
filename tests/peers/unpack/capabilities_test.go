package unpack

import (
	"archive/tar"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ipcs/tests/peers/internal/process"
)

// unitCapabilities are those that the systemd unit and its drop-in for [diff] keep, as setpriv calls them.
func unitCapabilities(t *testing.T) (names []string) {
	t.Helper()
	for _, unit := range []string{"ipcsd.service", "diff.conf"} {
		text, err := os.ReadFile(filepath.Join("../../../examples/systemd", unit))
		if err != nil {
			t.Fatal(err)
		}
		line := regexp.MustCompile(`(?m)^CapabilityBoundingSet=(.*)$`).FindSubmatch(text)
		if line == nil {
			t.Fatalf("%s has no CapabilityBoundingSet", unit)
		}
		for _, name := range strings.Fields(string(line[1])) {
			name = strings.TrimPrefix(name, "CAP_")
			names = append(names, strings.ToLower(name))
			// The comments say what each is for.
			if comments := regexp.MustCompile(`(?m)^#.*\b` + name + `\b`); unit == "diff.conf" && !comments.Match(text) {
				t.Errorf("%s does not say what CAP_%s is for", unit, name)
			}
		}
	}
	return names
}

// startWith starts an ipcsd that can have no other capabilities.
func startWith(t *testing.T, capabilities []string) *peers {
	t.Helper()
	script := filepath.Join(process.Directory(t), "ipcsd.sh")
	set := "-all,+" + strings.Join(capabilities, ",+")
	text := fmt.Sprintf("#!/bin/sh\nexec setpriv --bounding-set=%s --inh-caps=-all %s \"$@\"\n", set, process.Ipcsd(t))
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return startProgram(t, script)
}

// TestCapabilitiesOfTheUnit has no more capabilities than under systemd: what a layer may have is all written, and without
// any one of them it is not.
func TestCapabilitiesOfTheUnit(t *testing.T) {
	all := unitCapabilities(t)
	capability := "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	layer := gzipped(archive(t,
		file{Header: tar.Header{Name: "home", Typeflag: tar.TypeDir, Mode: 0o700, Uid: 1000, Gid: 1000}},
		file{Header: tar.Header{Name: "home/file", Mode: 0o600, Uid: 1000, Gid: 1000}, body: "x"},
		file{Header: tar.Header{Name: "home/closed", Typeflag: tar.TypeDir, Mode: 0, Uid: 2000, Gid: 2000}},
		file{Header: tar.Header{Name: "home/closed/file", Mode: 0, Uid: 3000, Gid: 3000}, body: "y"},
		file{Header: tar.Header{Name: "program", Mode: 0o6755, Uid: 1000, Gid: 1001}, body: "z"},
		file{Header: tar.Header{Name: "null", Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3}},
		file{Header: tar.Header{Name: "ping", Mode: 0o755, Uid: 5,
			PAXRecords: map[string]string{"SCHILY.xattr.security.capability": capability}}, body: "p"}))
	t.Run("all", func(t *testing.T) {
		p := startWith(t, all)
		d := p.put(t, gzipLayer, layer)
		for _, kind := range []func() snapshot{func() snapshot { return p.bind(t) }, func() snapshot { return p.overlay(t) }} {
			if err := p.same(t, d, kind(), kind()); err != nil {
				t.Error(err)
			}
		}
		// Opaque directories need an attribute "trusted.".
		opaque := p.put(t, gzipLayer, gzipped(archive(t, file{Header: tar.Header{Name: "home/.wh..wh..opq", Mode: 0o600}},
			file{Header: tar.Header{Name: ".wh.ping", Mode: 0o600}})))
		lower := p.bind(t)
		fill(lower.root, archive(t, file{Header: tar.Header{Name: "home/old", Mode: 0o600}}))
		if err := p.same(t, opaque, p.overlay(t, lower.root), p.overlay(t, lower.root)); err != nil {
			t.Error(err)
		}
	})
	for _, missing := range all {
		if missing == "setpcap" {
			continue // the worker drops for good what it can: no program is started anyway
		}
		t.Run("without "+missing, func(t *testing.T) {
			p := startWith(t, slices.DeleteFunc(slices.Clone(all), func(name string) bool { return name == missing }))
			d := p.put(t, gzipLayer, layer)
			ours, theirs := p.bind(t), p.bind(t)
			since := now(t, p.base)
			err := applied(p.ours, d, ours).err
			t.Log(err)
			if err != nil {
				return
			}
			// What can't be kept by a call that succeeds: the bits setuid and setgid.
			if wanted := applied(p.theirs, d, theirs); wanted.err != nil {
				t.Fatal(wanted.err)
			}
			if maps.Equal(tree(t, ours.root, since), tree(t, theirs.root, since)) {
				t.Errorf("%s is not needed", missing)
			}
		})
	}
}
