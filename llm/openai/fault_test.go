package openai

import "testing"

func FuzzFaults(f *testing.F) {
	f.Add(429, []byte(`{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}`))
	f.Add(0, []byte(`{"error":{"code":502}}`))
	f.Add(401, []byte(`{"error":"no"}`))
	f.Add(500, []byte("<html>\x00\xff"))
	f.Fuzz(func(t *testing.T, status int, document []byte) {
		if fault := readFault(status, document); fault.Class == "" {
			t.Errorf("%+v has no class", fault)
		}
	})
}
