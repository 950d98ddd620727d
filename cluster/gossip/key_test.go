package gossip_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"singularity/cluster/gossip"
)

func TestKeyFileKeepsKeysInOrder(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "keys")
	keys := []gossip.Key{gossip.NewKey(), gossip.NewKey()[:16], gossip.NewKey()[:24]}
	for _, order := range [][]gossip.Key{keys, {keys[2], keys[0]}} {
		if err := gossip.WriteKeyFile(name, order); err != nil {
			t.Fatal(err)
		}
		got, err := gossip.ReadKeyFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !same(got, order) {
			t.Errorf("read %v, want %v", got, order)
		}
	}
	if info, err := os.Stat(name); err != nil || info.Mode() != 0o600 {
		t.Errorf("the key file is %v, %v; want its mode 0600", info.Mode(), err)
	}
	if files, err := os.ReadDir(filepath.Dir(name)); err != nil || len(files) != 1 {
		t.Errorf("beside the key file there is more: %v, %v", files, err)
	}
}

func TestReadKeyFileNamesTheLine(t *testing.T) {
	t.Parallel()
	key := gossip.NewKey().Encode()
	tests := []struct{ name, content, want string }{
		{"no base64", key + "\n\n" + "???\n", "line 3: the key is not base64"},
		{"a short key", "YWJj\n", "line 1: the key has 3 bytes: expected 16, 24 or 32"},
		{"nothing", " \n\n", "has no key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			name := filepath.Join(t.TempDir(), "keys")
			if err := os.WriteFile(name, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := gossip.ReadKeyFile(name)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), name) {
				t.Errorf("error %v, want %q and the name in it", err, test.want)
			}
		})
	}
}

func TestKeyShowsItsFingerprintAlone(t *testing.T) {
	t.Parallel()
	key := gossip.NewKey()
	for _, format := range []string{"%s", "%v", "%+v", "%#v"} {
		if shown := fmt.Sprintf(format, key); len(shown) != 8 || strings.Contains(key.Encode(), shown) {
			t.Errorf("%s shows %s", format, shown)
		}
	}
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("rotated", "key", key)
	if !strings.Contains(logged.String(), "key="+key.String()) {
		t.Errorf("logged as %s", &logged)
	}
	if parsed, err := gossip.ParseKey(key.Encode()); err != nil || !slices.Equal(parsed, key) {
		t.Errorf("%s becomes %s, %v", key, parsed, err)
	}
}

func TestFingerprintsAreTold(t *testing.T) {
	t.Parallel()
	key := gossip.NewKey()
	if err := gossip.CheckFingerprint(key.String()); err != nil {
		t.Errorf("%s: %v", key, err)
	}
	for _, text := range []string{"", "0", "0123456", "012345678", "0123456789", "ABCDEF01", "ghijklmn", key.Encode()} {
		if err := gossip.CheckFingerprint(text); err == nil || len(text) > 10 && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v, want an error without what may be a key", text, err)
		}
	}
}

func TestKeysAmongManyAreChanged(t *testing.T) {
	t.Parallel()
	nodes := &registry{}
	cfg := nodes.config(t, "a")
	first, second, third := gossip.NewKey(), gossip.NewKey(), gossip.NewKey()
	cfg.Keys = []gossip.Key{first, second, third}
	keys := nodes.open(t, cfg).Keyring()

	if err := errors.Join(keys.Use(third.String()), keys.Remove(first.String())); err != nil {
		t.Fatal(err)
	}

	if got := keys.Keys(); !same(got, []gossip.Key{third, second}) {
		t.Errorf("the keys are %v, want %s and then %s", got, third, second)
	}
}

func TestKeysRotateUnderTraffic(t *testing.T) {
	t.Parallel()
	older, newer := gossip.NewKey(), gossip.NewKey()
	nodes, files := &registry{}, []string{}
	var configs []gossip.Config
	for _, boot := range []string{"a", "b"} {
		cfg := nodes.config(t, boot)
		cfg.KeyFile = filepath.Join(t.TempDir(), boot)
		if err := gossip.WriteKeyFile(cfg.KeyFile, []gossip.Key{older}); err != nil {
			t.Fatal(err)
		}
		configs, files = append(configs, cfg), append(files, cfg.KeyFile)
	}
	members := nodes.cluster(t, configs...)
	diaries := []*diary{keep(t, members[0]), keep(t, members[1])}

	steps := []struct {
		do   func(*gossip.Keyring) error
		want []gossip.Key
	}{
		{func(keys *gossip.Keyring) error { return keys.Add(newer) }, []gossip.Key{older, newer}},
		{func(keys *gossip.Keyring) error { return keys.Use(newer.String()) }, []gossip.Key{newer, older}},
		{func(keys *gossip.Keyring) error { return keys.Remove(older.String()) }, []gossip.Key{newer}},
	}
	for number, step := range steps {
		for i, g := range members {
			for range 2 { // the second time changes nothing
				if err := step.do(g.Keyring()); err != nil {
					t.Fatal(err)
				}
			}
			onDisk, err := gossip.ReadKeyFile(files[i])
			if err != nil {
				t.Fatal(err)
			}
			if !same(g.Keyring().Keys(), step.want) || !same(onDisk, step.want) {
				t.Errorf("step %d: the member has %v and its file %v, want %v", number, g.Keyring().Keys(), onDisk, step.want)
			}
			// Between any two changes both members hear of each other.
			for speaker := range members {
				says(t, members[speaker], members[1-speaker], fmt.Sprintf("%d-%d-%d", number, i, speaker))
			}
		}
	}
	stranger := nodes.config(t, "stranger")
	stranger.Keys = []gossip.Key{older}
	said := captured(&stranger)
	nodes.open(t, stranger)
	said.await(t, "WARN", "was not joined")
	friend := nodes.config(t, "friend")
	friend.KeyFile = files[0] // as after a restart
	nodes.open(t, friend)
	for _, d := range diaries {
		for _, change := range d.until(t, gossip.Joined, "friend") {
			if change.Kind != gossip.Updated && change.Member.Boot != "friend" {
				t.Errorf("%s %s", change.Member.Boot, change.Kind)
			}
		}
	}
}

// says makes one member say something and waits until another has heard it.
func says(t *testing.T, speaker, listener *gossip.Gossip, word string) {
	t.Helper()
	if err := speaker.Update(t.Context(), gossip.Meta{Version: word}); err != nil {
		t.Fatal(err)
	}
	await(t, listener, word, func(view gossip.View) bool {
		return slices.ContainsFunc(view.Members(), func(m gossip.Member) bool {
			return m.Address == speaker.Address() && m.Version == word
		})
	})
}

func TestKeyChangesAreRefused(t *testing.T) {
	t.Parallel()
	nodes := &registry{}
	plain := nodes.open(t, nodes.config(t, "plain"))
	cfg := nodes.config(t, "secret")
	primary, unknown := gossip.NewKey(), gossip.NewKey()
	cfg.Keys = []gossip.Key{primary}
	secret := nodes.open(t, cfg)
	tests := []struct {
		name string
		err  error
		want error
	}{
		{"adding a key where nothing is encrypted", plain.Keyring().Add(unknown), gossip.ErrNoKeys},
		{"using a key that was not added", secret.Keyring().Use(unknown.String()), gossip.ErrUnknownKey},
		{"removing the key in use", secret.Keyring().Remove(primary.String()), gossip.ErrPrimaryKey},
	}
	for _, test := range tests {
		if !errors.Is(test.err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, test.err, test.want)
		}
	}
	if err := secret.Keyring().Add(gossip.Key("short")); err == nil {
		t.Error("a short key was added")
	}
	if err := secret.Keyring().Remove(unknown.String()); err != nil {
		t.Errorf("removing a key that is not there: %v", err)
	}
	if got := secret.Keyring().Keys(); !same(got, []gossip.Key{primary}) || plain.Keyring().Keys() != nil {
		t.Errorf("the keys are %v and %v", got, plain.Keyring().Keys())
	}
}

func TestKeyThatCannotBeWrittenIsNotAdded(t *testing.T) {
	t.Parallel()
	nodes := &registry{}
	cfg := nodes.config(t, "a")
	folder := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	cfg.KeyFile = filepath.Join(folder, "keys")
	primary := gossip.NewKey()
	if err := gossip.WriteKeyFile(cfg.KeyFile, []gossip.Key{primary}); err != nil {
		t.Fatal(err)
	}
	g := nodes.open(t, cfg)
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if err := g.Keyring().Add(gossip.NewKey()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want that the folder is gone", err)
	}
	if got := g.Keyring().Keys(); !same(got, []gossip.Key{primary}) {
		t.Errorf("the keys are %v, want those from before", got)
	}
}

func TestKeyFileThatOthersCanReadIsReported(t *testing.T) {
	t.Parallel()
	nodes := &registry{}
	cfg := nodes.config(t, "a")
	cfg.KeyFile = filepath.Join(t.TempDir(), "keys")
	if err := gossip.WriteKeyFile(cfg.KeyFile, []gossip.Key{gossip.NewKey()}); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(cfg.KeyFile, 0o644); err != nil {
		t.Fatal(err)
	}
	heard := captured(&cfg)
	nodes.open(t, cfg)
	heard.await(t, "WARN", "can be read by other users", cfg.KeyFile)
}

func same(a, b []gossip.Key) bool {
	return slices.EqualFunc(a, b, slices.Equal[gossip.Key])
}
