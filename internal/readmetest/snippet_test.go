package readmetest

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

const source = `package hello

// #region all

func hello() {
	// #region inner
	if loud {

		shout()
	}
	// #endregion inner
}

// #endregion all

// #region open
`

func tree() fs.FS {
	return fstest.MapFS{
		"hello/hello.go":      {Data: []byte(source)},
		"hello/hello_test.go": {Data: []byte("package hello\n")},
		"raw/raw.go":          {Data: []byte("package raw\n")},
	}
}

func TestSnippetIsACopyOfTestedCode(t *testing.T) {
	t.Parallel()
	const inner = "if loud {\n\n\tshout()\n}\n"
	tests := []struct{ name, from, text, want string }{
		{"region", "hello/hello.go#inner", inner, ""},
		{"region around another", "hello/hello.go#all", "func hello() {\n\tif loud {\n\n\t\tshout()\n\t}\n}\n", ""},
		{"file without the comments of regions", "hello/hello.go", strings.NewReplacer(
			"// #region all\n\n", "", "\t// #region inner\n", "", "\t// #endregion inner\n", "",
			"\n// #endregion all\n\n// #region open\n", "").Replace(source), ""},
		{"test", "hello/hello_test.go", "package hello\n", ""},
		{"changed since", "hello/hello.go#inner", "if loud {\n\tshout()\n}\n", "go test ./internal/readmetest -update copies it:\n" + inner},
		{"no such region", "hello/hello.go#outer", inner, "hello/hello.go has no region outer"},
		{"region without an end", "hello/hello.go#open", "", "hello/hello.go has no region open"},
		{"no such file", "hello/other.go#inner", inner, "hello/other.go: file does not exist"},
		{"outside the checkout", "../hello.go#inner", inner, "../hello.go: file does not exist"},
		{"code that nothing tests", "raw/raw.go", "package raw\n", "no test stands beside raw/raw.go"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := compareSnippet(tree(), block{marker: marker{verbSnippet, test.from}, text: test.text})
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestUpdateCopiesSnippetsAnew(t *testing.T) {
	t.Parallel()
	const stale = `
<!-- snippet: hello/hello_test.go -->
~~~go
old

old
~~~

1. In a list:

   <!-- snippet: hello/hello.go#inner -->
   ~~~go
   ~~~

~~~sh
ls
~~~
`
	const fresh = `
<!-- snippet: hello/hello_test.go -->
~~~go
package hello
~~~

1. In a list:

   <!-- snippet: hello/hello.go#inner -->
   ~~~go
   if loud {

   	shout()
   }
   ~~~

~~~sh
ls
~~~
`
	for _, document := range []string{stale, fresh} {
		if got, err := updateSnippets(tree(), document); err != nil || got != fresh {
			t.Errorf("updated to %s, %v\nwant %s", got, err, fresh)
		}
	}
	if _, err := updateSnippets(tree(), strings.Replace(stale, "#inner", "#outer", 1)); err == nil {
		t.Error("a snippet of nothing was updated")
	}
}
