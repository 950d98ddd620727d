// Command hello is a program of its own that runs workflows. Its API is driven
// by the singularity command line, or by anything that speaks HTTP.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"singularity"
	"singularity/server"
	"singularity/workflow"
)

// #region workflow

// Greeting is the input, the state and the output of the workflow.
type Greeting struct {
	Name string `json:"name"`
	Text string `json:"text,omitempty"`
}

var hello = workflow.New("hello",
	workflow.Do("greet", func(_ context.Context, g *Greeting) error {
		g.Text = "Hello, " + g.Name
		return nil
	}),
	workflow.Do("shout", func(_ context.Context, g *Greeting) error {
		g.Text = strings.ToUpper(g.Text) + "!"
		return nil
	}),
)

// #endregion workflow

func main() {
	address := flag.String("http", "127.0.0.1:4000", "where to listen, on loopback")
	dataDir := flag.String("data-dir", ".hello", "the folder of the database")
	flag.Parse()
	if err := run(*address, *dataDir); err != nil {
		log.Fatal(err)
	}
}

// #region run

func run(address, dataDir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	engine, err := singularity.Open(ctx, singularity.Config{DataDir: dataDir}, hello)
	if err != nil {
		return err
	}
	listener, err := server.Listen(ctx, address)
	if err == nil {
		fmt.Printf("hello is ready at http://%s\n", listener.Addr())
		err = server.Serve(ctx, listener, server.Handler(engine, server.Config{}))
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	return errors.Join(err, engine.Close(grace))
}

// #endregion run
