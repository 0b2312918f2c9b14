package main

import (
	"maps"
	"slices"
	"strings"
)

func sortedKeys(m map[text]text) []text { return slices.Sorted(maps.Keys(m)) }

// written are the lists of filters that somebody thought of.
var written = append(singles(
	// nothing, presence, paths
	"", " ", "digest", "size", "labels", "labels.foo", `labels.""`, `labels."foo"`, `"labels"."foo"`, "labels.a.b.c", `labels."a.b".c`,
	`labels.a."b.c"`, "labels.a.b", "labels.a", "digest.anything", "ref", "ref.x", "unknown", "unknown.x", "_", "0", "labels.0",
	"labels. foo", "labels .foo", "labels.\tfoo", " labels.foo", "labels.foo ", "\u00a0labels.foo", "\u3000digest", "\u200bdigest",
	"labels.foo,digest", "labels.foo,labels.bar", "labels.foo, labels.bar", "labels.foo ,labels.bar",
	// equality
	"labels.foo==true", "labels.foo==present", "labels.foo==", `labels.foo==""`, `labels.nope==""`, "labels.foo==omg_asdf.asdf-qwer",
	"labels.foo==größe", "labels.moo==牛", `labels.moo=="牛"`, `labels.moo=="\u725b"`, `labels.moo=="\U0000725b"`, `labels.moo=="\xe7\x89\x9b"`,
	`labels.moo=="\347\211\233"`, `labels.moo=="\U0010ffff"`, `labels.moo=="\U00110000"`, `labels.moo=="\ud800"`, `labels.byte=="\x80"`,
	`labels.byte=="\200"`, `labels.byte=="\u0080"`, `labels.tab=="a\tb"`, `labels.line=="a\nb"`, "labels.tab==\"a\tb\"", "labels.line==\"a\nb\"",
	`labels.other=="too complex, yo"`, "labels.other==too complex, yo", "digest=="+sha, `digest=="`+sha+`"`, "digest==sha256:", "ref==foo", `ref==""`,
	`ref=="a,b"`, "ref==a,b", "ref==größe", `ref=="größe 牛"`, "labels.foo == true", "labels.foo== true", "labels.foo ==true", "labels.foo==true ",
	"labels.foo==true x", `labels.foo=="true"x`, `labels.foo=="true" `, `labels.foo=="true",digest`, "labels.foo=='true'", "labels.foo=='t'",
	"labels.foo==`true`", "labels.foo==tr\"ue", "labels.foo==a/b|c", "labels.foo==/slash|pipe/", `labels.foo=="/slash|pipe/"`, "labels.foo==|x|",
	"labels.foo==.x", "labels.foo==x.", "labels.foo==,", "labels.foo==!x", "labels.foo==~x", "labels.foo==x!=y", "labels.foo==x==y", "labels.foo==(a",
	`labels."quoted \\ and \""==x`, `labels."quoted \\ and \"".post==y`, `labels."quoted \\ and \".post"==y`, "labels.foo==\u0001b", "labels.foo==b\u0001",
	"labels.foo==\u007f", "labels.foo==a\u007f", "labels.foo==\u00ad", "labels.foo==a\u00adb", "labels.foo==a\u00a0b", "labels.foo==a\u200bb", "labels.foo==€¥½²",
	"labels.foo==a\u0301", "labels.foo==😀", "labels.foo==a\ue000b", "labels.foo==\ufeff", "labels.foo==a\ufeff", "labels.foo==a\u0378", "labels.foo==a\u2028b",
	// inequality
	"labels.foo!=true", "labels.nope!=x", `labels.nope!=""`, `labels.foo!=""`, "digest!="+sha, "ref!=foo", "size!=42", "size==42", `size!=""`,
	// regular expressions
	"labels.foo~=^t", "labels.foo~=.", "labels.foo~=^$", "labels.nope~=^$", "labels.nope~=.", "labels.foo~=tr[a-u]e", "labels.foo~=/tr.e/", "labels.foo~=|tr.e|",
	`labels.foo~="tr.e"`, `labels.foo~="^/slash\\|"`, `labels.foo~=|^/slash\||`, `labels.foo~=|^/slash\\\||`, `labels.foo~=/^\/slash\\|/`, `labels.foo~=/^\/slash/`, `labels.other~=/x, y/`,
	"labels.other~=x, y", `labels.other~=/[a-z]{0,1}"\//`, "labels.foo~=(", "labels.foo~=[", "labels.foo~=*", `labels.foo~="\\p{L}{5}"`, `labels.foo~="\\pL+ö"`, "labels.bar~=(?i)foo",
	"labels.bar~=(?i:foo)", "labels.bar~=(?s).*", "labels.line~=^a.b$", "labels.line~=(?s)^a.b$", "labels.line~=^a$", "labels.line~=(?m)^a$", `labels.line~="a\\nb"`, `labels.line~="\\Aa"`,
	`labels.line~="b\\z"`, `labels.line~="a\\Z"`, `labels.foo~="(t)rue\\1"`, "labels.foo~=(?=t)", "labels.foo~=(?<!t)", "labels.foo~=(?P<n>t)rue", `labels.foo~="\\bpresent\\b"`, `labels.foo~="\\d"`,
	`labels.foo~=\d`, `labels.foo~=\w+`, "labels.foo~=t{1001}", "labels.foo~=(t{100}){100}", "labels.foo~=t{2,1}", "labels.foo~=t**", "labels.foo~=t??", "labels.foo~=[[:alpha:]]", "labels.foo~=[[:nope:]]",
	`labels.foo~="\\Qtrue\\E"`, `labels.foo~="\\x74rue"`, `labels.foo~="\\x{74}rue"`, `labels.foo~="\\164rue"`, `labels.foo~="[^\\x00-\\x{10FFFF}]"`, `labels.foo~="\xff"`, `labels.byte~="\x80"`,
	`labels.foo~="\\pN"`, `labels.foo~="\\p{Greek}"`, `labels.foo~="\\p{Nope}"`, `labels.foo~="\\h"`, `labels.foo~="\\e"`, `labels.foo~="a\\"`, "labels.foo~=(?U)t+", "labels.foo~=(?x)t", "labels.foo~=(?i)TRUE|nope",
	"digest~=^sha512:", "digest~=[ab]{64}$", "digest~=/^sha256:(01|02)/", "ref~=^layer-", "ref~=sha256:", "ref~=/^$/", "size~=^$", "digest~=", `digest~=""`,
	"labels.foo~="+strings.Repeat("(", 300)+"t"+strings.Repeat(")", 300), "labels.foo~=(|||)", "labels.foo~="+strings.Repeat("(a|", 50)+strings.Repeat(")", 50),
	// several
	"labels.foo==true,labels.bar", "labels.foo,labels.foo!=true", "labels.bar==true,labels.foo==\"\"", "digest~=^sha256,labels.foo~=e", "labels.foo==true,labels.foo==true",
	// labels with slashes and dots
	`labels."containerd.io/uncompressed"`, `labels."containerd.io/uncompressed"==`+sha, `labels."containerd.io/gc.root"`, "labels.containerd.io/gc.root", "labels.containerd.io/gc.root==x",
	`labels."containerd.io/gc.ref.content.0"~=^sha256`, `labels."containerd.io/distribution.source.ghcr"~=/(^|,)library\/alpine(,|$)/`, `labels.containerd."io/gc.root"`,
	// mistakes
	"labels.", ".", "..", ",", ",,", "labels.foo,", ",labels.foo", "labels..foo", "labels.foo,,digest", "==", "==x", "labels.foo=true", "labels.foo===true", "labels.foo=!true", "labels.foo~true", "labels.foo!true",
	"labels.foo=", "labels.foo!", "labels.foo~", "labels.foo!=", "labels.foo~=", "labels.foo~= ", "labels.foo true", `labels.foo "true"`, `labels.foo/true/`, `labels.foo|`, "labels.?foo", "labels.|foo|==x", "labels./foo/",
	"labels.foo>1", "labels.foo;digest", "labels.foo digest", "labels-foo", "-", "(", "*", "'labels'", "lábels", "labels.föö", "labels.foo==\"", "labels.foo==\"x", `labels.foo=="x\`, `labels.foo=="x\"`, `labels.foo=="\g"`,
	`labels.foo=="\'"`, `labels.foo=="\/"`, `labels.foo~=/\"/`, `labels.foo~=/\|/`, `labels.foo=="\xaz"`, `labels.foo=="\x"`, `labels.foo=="\x4`, `labels.foo=="\u12"`, `labels.foo=="\U0000"`, `labels.foo=="\08"`, `labels.foo=="\1"`,
	`labels.foo=="\400"`, `labels.foo=="\777"`, `labels.foo=="\g`, `labels.foo=="\g\xzz"`, `labels."\g"`, `labels."\xaz"`, `labels."open`, "labels.\"containerd.io\nkey\"==value", `labels."a"b`, `labels."a""b"`, `labels.foo=="\000"`,
	"\x00", "foo\x00bar", "labels.foo==\x00", "labels.foo==a\x00", "labels.\"a\x00\"", "labels.foo==\"\x00", "labels.foo\x00", "\xff", "labels.foo\xff", "labels.foo==\xff", "labels.foo==a\xff", "labels.\"\xff\"", "labels.foo=\xff", "labels.\xc3",
	"labels.foo==\xed\xa0\x80", "labels.foo==\xc0\xaf", "labels.foo==\xf4\x90\x80\x80", "labels.foo==\ufffd", "labels.foo==a\ufffd", "labels.\"\ufffd\"", `labels.foo=="\ufffd"`, "labels.foo==\"\\\xff\"", "labels.foo==\"\\x\xff\"", "image~=,id?=?fbaq",
	"labels.foo==x\r", "labels.foo==\"a\rb\"", "labels.foo\n==true", "labels.foo==\ntrue", "labels.foo==true\n",
), [][]string{
	{}, {"", ""}, {"", "labels.foo"}, {"labels.foo", ""}, {"labels.foo==true", "labels.bar==true"}, {"labels.foo==true,labels.bar", "digest~=^sha512"}, {"labels.nope", "labels.nope2"},
	{"labels.foo", "labels."}, {"", "=="}, {"labels.foo==true", "ref==foo"}, {"labels.foo~=(", "labels.foo==true"},
}...)

func singles(all ...string) [][]string {
	lists := [][]string{}
	for _, one := range all {
		lists = append(lists, []string{one})
	}
	return lists
}
