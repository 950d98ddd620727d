package storetest

import (
	"bytes"
	"sync"

	"singularity/persistence"
)

var secretStories = []story{
	{name: "secrets/all who ask at once get the same", tell: secretsShared},
	{name: "secrets/each name has its own", tell: secretsApart},
	{name: "secrets/they outlive the process", restarts: true, tell: secretsRestart},
}

func (f *fixture) secret(name string) []byte {
	f.Helper()
	secret, err := f.store.Secret(f.Context(), name)
	if err != nil {
		f.Fatalf("secret %s: %v", name, err)
	}
	return secret
}

func secretsShared(f *fixture) {
	secrets := make([][]byte, 8)
	var wait sync.WaitGroup
	for i := range secrets {
		wait.Go(func() { secrets[i], _ = f.store.Secret(f.Context(), "a") })
	}
	wait.Wait()
	want := f.secret("a")
	if len(want) != persistence.SecretSize {
		f.Fatalf("a secret has %d bytes, want %d", len(want), persistence.SecretSize)
	}
	for i, got := range secrets {
		if !bytes.Equal(got, want) {
			f.Errorf("number %d got another secret than is kept", i)
		}
	}
}

func secretsApart(f *fixture) {
	if bytes.Equal(f.secret("a"), f.secret("b")) {
		f.Error("two names have one secret")
	}
}

func secretsRestart(f *fixture) {
	before := f.secret("a")
	f.restart()
	if !bytes.Equal(f.secret("a"), before) {
		f.Error("after a restart there is another secret")
	}
}
