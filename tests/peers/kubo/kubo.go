// Package kubo holds plugins/ipld and `ipcsctl cid` against a real Kubo: the same bytes get the same CIDs, and each side
// reads the other's CARs.
package kubo
