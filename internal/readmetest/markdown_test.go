package readmetest

import (
	"reflect"
	"strings"
	"testing"
)

func TestParseFindsBlocksAndTheirMarkers(t *testing.T) {
	t.Parallel()
	const document = `# Sample

Text with ` + "`code`" + ` in it.

` + "```sh" + `
make build
` + "```" + `

<!-- server -->
` + "```sh" + `
serve --quietly \
	--here
` + "```" + `

<!-- an ordinary comment: above text -->
Text.

1. In a list:

   <!-- snippet: a/b.go#hello -->

   ` + "```go" + `
   func hello() {
   	greet()
   }
   ` + "```" + `

<!-- not run: it takes a machine: yours -->
~~~text
` + "```" + `
~~~

<!-- needs: curl jq -->
` + "````console" + `
$ curl here |
` + "````" + `
`
	want := []block{
		{line: 5, language: "sh", text: "make build\n"},
		{line: 10, language: "sh", marker: marker{verb: "server"}, text: "serve --quietly \\\n\t--here\n"},
		{line: 22, indent: "   ", language: "go", marker: marker{"snippet", "a/b.go#hello"}, text: "func hello() {\n\tgreet()\n}\n"},
		{line: 29, language: "text", marker: marker{"not run", "it takes a machine: yours"}, text: "```\n"},
		{line: 34, language: "console", marker: marker{"needs", "curl jq"}, text: "$ curl here |\n"},
	}
	got, err := parse(document)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("parse gave %+v, %v\nwant %+v", got, err, want)
	}
}

func TestParseRefusesBlocksThatNobodyChecks(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, document, want string }{
		{"code without a snippet", "```go\nx()\n```\n", `line 1: a block of "go" cannot be run`},
		{"no language", "\n```\n$ ls\n```\n", `line 2: a block of "" cannot be run`},
		{"code that needs something", "<!-- needs: jq -->\n```json\n{}\n```\n", `a block of "json" cannot be run`},
		{"text between marker and block", "<!-- not run: so -->\nHere:\n```go\nx()\n```\n", `a block of "go" cannot be run`},
		{"excuse without a reason", "<!-- not run -->\n```sh\nx\n```\n", "<!-- not run: … -->"},
		{"snippet of nothing", "<!-- snippet: -->\n```go\nx()\n```\n", "<!-- snippet: … -->"},
		{"misspelt marker", "<!-- sever -->\n```sh\nx\n```\n", `unknown marker "sever"`},
		{"server of two commands", "<!-- server -->\n```sh\ncd x\nserve\n```\n", "a server is one command"},
		{"second server of two commands", "<!-- second server -->\n```sh\ncd x\nserve\n```\n", "a server is one command"},
		{"third server of two commands", "<!-- third server -->\n```sh\ncd x\nserve\n```\n", "a server is one command"},
		{"server in a transcript", "<!-- server -->\n```console\n$ serve\n```\n", "a server is one command in a block of sh"},
		{"transcript without a prompt", "```console\nls\n```\n", `no line of the block begins with "$ "`},
		{"block without an end", "```sh\nls\n", "line 1: the block has no end"},
		{"not text", "```sh\n\xff\n```\n", "the document is not UTF-8"},
		{"two faults", "```go\n```\n```c\n```\n", `line 3: a block of "c"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := parse(test.document); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestCommandsOfATranscript(t *testing.T) {
	t.Parallel()
	b := block{language: "console", text: "$ first\none\n> two\n\n$ second <<END\n> text\n> END\n$ third\n"}
	want := []command{
		{text: "first\n", output: "one\n> two\n\n"},
		{text: "second <<END\ntext\nEND\n"},
		{text: "third\n"},
	}
	if got := b.commands(); !reflect.DeepEqual(got, want) {
		t.Errorf("commands %q, want %q", got, want)
	}
}

func TestOutputIsComparedWithWhatTheReadmeShows(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, shown, output string
		want                bool
	}{
		{"nothing shown", "", "anything\n", true},
		{"the same", "a\nb\n", "a\nb\n", true},
		{"another line", "a\nb\n", "a\nc\n", false},
		{"a line more", "a\n", "a\nb\n", false},
		{"a line less", "a\nb\n", "a\n", false},
		{"no end of line", "a\n", "a", true},
		{"blanks at the end", "a\n", "a  \n", true},
		{"some text", "run … took … ms\n", "run 7 took 0.3 ms\n", true},
		{"other text", "run … took … ms\n", "run 7 took 0.3 s\n", false},
		{"some lines", "a\n…\nz\n", "a\nb\nc\nz\n", true},
		{"no lines", "a\n…\nz\n", "a\nz\n", true},
		{"any text is in one line", "a…z\n", "a\nz\n", false},
		{"signs are no pattern", "a.c\n", "abc\n", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := (command{output: test.shown}).shows(test.output); got != test.want {
				t.Errorf("%q shows %q: %t", test.shown, test.output, got)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("<!-- server -->\n```sh\nls\n```\n")
	f.Add("  ~~~console\n  $ ls \\\n  > -l\n  …\n  ~~~\n")
	f.Fuzz(func(_ *testing.T, document string) {
		blocks, err := parse(document)
		if err != nil {
			return
		}
		for _, b := range blocks {
			for _, c := range b.commands() {
				c.shows(document)
			}
		}
	})
}
