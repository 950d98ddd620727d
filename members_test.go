package singularity_test

import (
	"os"
	"testing"
	"time"

	"singularity"
)

func TestMembersAreTheProcessesOfTheStore(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]string{"memory": "", "sqlite": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now().Add(-time.Second)
			engine := open(t, singularity.Config{DataDir: dir, Instance: "first", Version: "v1"})
			closeEngine(t, engine)
			engine = open(t, singularity.Config{DataDir: dir, Instance: "second", Version: "v2"})

			members, err := engine.Members(t.Context())
			if err != nil || len(members) == 0 {
				t.Fatalf("got %v, %v, want members", members, err)
			}
			if dir != "" && (len(members) != 2 || members[1].GetInstanceId() != "first" || members[1].GetStatus() != "offline") {
				t.Errorf("got %v, want the earlier process as the second member, offline", members)
			}
			m := members[0]
			if m.GetInstanceId() != "second" || m.GetStatus() != "online" || int(m.GetPid()) != os.Getpid() || m.GetVersion() != "v2" ||
				m.GetBoot() == "" || m.GetCapabilitiesJson() != `{"queues":["default","metrics","pattern_mining","training"]}` || m.GetLastHeartbeat().AsTime().Before(began) || m.GetCreatedAt().AsTime().Before(began) {
				t.Errorf("got %v, want this process", m)
			}
		})
	}
}
