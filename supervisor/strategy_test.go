package supervisor

import "testing"

func TestStrategySaysWhoRestartsTogether(t *testing.T) {
	t.Parallel()
	const children = 4
	tests := []struct {
		strategy Strategy
		failed   int
		from, to int
	}{
		{OneForOne, 0, 0, 1},
		{OneForOne, 2, 2, 3},
		{OneForOne, 3, 3, 4},
		{OneForAll, 0, 0, 4},
		{OneForAll, 2, 0, 4},
		{OneForAll, 3, 0, 4},
		{RestForOne, 0, 0, 4},
		{RestForOne, 2, 2, 4},
		{RestForOne, 3, 3, 4},
	}
	for _, tt := range tests {
		if from, to := tt.strategy.span(tt.failed, children); from != tt.from || to != tt.to {
			t.Errorf("%s: child %d restarts [%d, %d), want [%d, %d)", tt.strategy, tt.failed, from, to, tt.from, tt.to)
		}
	}
}

func TestRestartSaysWhichEndsCount(t *testing.T) {
	t.Parallel()
	tests := []struct {
		restart          Restart
		normal, abnormal bool
	}{
		{Permanent, true, true},
		{Transient, false, true},
		{Temporary, false, false},
	}
	for _, tt := range tests {
		if got := tt.restart.after(false); got != tt.normal {
			t.Errorf("%s child restarts after a normal end: %t, want %t", tt.restart, got, tt.normal)
		}
		if got := tt.restart.after(true); got != tt.abnormal {
			t.Errorf("%s child restarts after an abnormal end: %t, want %t", tt.restart, got, tt.abnormal)
		}
	}
}
