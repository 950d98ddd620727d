// Package readmetest does what README.md says, so that it stays true.
//
// Every fenced block is run, compared or excused. An HTML comment right above
// a block, where one is needed, says which:
//
//	sh                        run, and has to succeed
//	console                   run: "$ " begins a command, "> " goes on with it, the rest is its output
//	<!-- server -->           an sh block of one command, which stays running as if in another terminal
//	<!-- second server -->    the same, beside the one that runs
//	<!-- third server -->     the same, beside the two that run
//	<!-- needs: curl -->      an sh or console block that is skipped where a program is not installed
//	<!-- snippet: F#R -->     a copy of region R of file F, or of all of F without #R
//	<!-- not run: reason -->  neither run nor compared
//
// All of it happens in a fresh copy of the checkout, in the order of the
// README, and ends at the first failure. The sh and console blocks share one
// bash, so a variable that one exports is there in the next. Nothing is on the
// PATH that a reader would not have.
//
// # Servers
//
// A server block has started when /readyz answers, by HTTPS when it has a
// --tls-dir. It is stopped by Ctrl-C
// before the next one and at the end. After it, "kill -9 PID" kills it: a
// reader puts in the number that the server printed. A second and a third
// server run beside those before them, and listen on 127.0.0.1:4001 and
// 127.0.0.1:4002; a kill is for the latest.
//
// The port 4000 may be taken, so commands get SINGULARITY_HTTP and
// SINGULARITY_ADDRESS for a free one, and 127.0.0.1:4000 in a command or an
// output stands for it, as 0.0.0.0:4000 does, and 127.0.0.1:4001 and
// 127.0.0.1:4002 for others. SINGULARITY_CLUSTER keeps its nodes from others on
// this machine. Other settings of this program and of Postgres, and the keys of
// providers, are taken out of the environment; the tools of Postgres find a server
// of the tests.
//
// # Outputs
//
// In what a console block shows, "…" stands for any text in a line, and a line
// of nothing else for any lines. A command that shows no output may print what
// it likes. Standard output and error are one.
//
// # Snippets
//
// A region lies between two comments, and the folder of its file has tests:
//
//	// #region name
//	// #endregion name
//
// go test ./internal/readmetest -update copies all snippets anew.
package readmetest
