package bench

import (
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"singularity/internal/testpostgres"
	"singularity/persistence/postgres"
	"singularity/workflow"
)

func TestMain(m *testing.M) { testpostgres.Main(m, postgres.MigrateUp) }

func TestLevelsMeasuresEachLevelAloneAndInFlight(t *testing.T) {
	t.Parallel()
	report, err := Levels(t.Context(), Config{Dir: t.TempDir(), Workflows: 20, Steps: 4, Concurrency: 8, Rounds: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Rows) != 6 || report.Floor.P50 <= 0 {
		t.Fatalf("got %d rows and a floor of %v us, want 6 rows", len(report.Rows), report.Floor.P50)
	}
	commits := map[workflow.Durability]float64{workflow.Ephemeral: 0, workflow.Restartable: 2, workflow.Checkpointed: 5}
	for _, row := range report.Rows {
		if row.Step.P50 <= 0 || row.Run.P50 < row.Step.P50 || row.RunsPerSecond <= 0 {
			t.Errorf("%s, %d in flight: implausible figures %+v", row.Durability, row.InFlight, row)
		}
		// One run at a time shares its commits with nobody: the start, and the
		// steps that its level commits. The engine's first claims are on top.
		if want := commits[row.Durability]; row.InFlight == 1 && math.Round(row.CommitsPerRun) != want {
			t.Errorf("%s: %v commits a run of 4 steps, want %v", row.Durability, row.CommitsPerRun, want)
		}
	}
}

func TestQueuedFillsAndDrainsEachQueue(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("peak memory is measured on Linux only")
	}
	for name, cfg := range map[string]Config{
		"sqlite":   {Dir: t.TempDir(), Rounds: 1},
		"postgres": {DatabaseURL: testpostgres.URL(t), Rounds: 1},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := Queued(t.Context(), cfg, 1500)
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Queues) != 2 || report.Queues[0].Runs != 1000 || report.Queues[0].DrainRatio != 1 {
				t.Fatalf("implausible report %+v", report)
			}
			last := report.Queues[1]
			if last.Runs != 1500 || last.DrainPerSecond <= 0 || last.DrainRatio <= 0 || last.PeakRatio <= 0 || last.LastTenthRatio <= 0 {
				t.Errorf("implausible queue %+v", last)
			}
			if stored := len(last.Relations) > 0; stored != (cfg.DatabaseURL != "") {
				t.Errorf("relations %+v", last.Relations)
			}
		})
	}
}

func TestLevelsOnPostgresLeavesNoTableOfItsOwn(t *testing.T) {
	t.Parallel()
	url := testpostgres.URL(t)
	report, err := Levels(t.Context(), Config{DatabaseURL: url, Workflows: 20, Concurrency: 4, Rounds: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Rows) != 6 || report.Floor.P50 <= 0 {
		t.Fatalf("got %d rows and a floor of %v us, want 6 rows", len(report.Rows), report.Floor.P50)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	var left *string
	if err := conn.QueryRow(t.Context(), `SELECT to_regclass('singularity.bench_floor')::text`).Scan(&left); err != nil || left != nil {
		t.Errorf("the table of bare commits is still there: %v, %v", left, err)
	}
}

func TestSizesThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"workflows":   {Workflows: -1},
		"steps":       {Steps: workflow.MaxSteps + 1},
		"concurrency": {Concurrency: -1},
		"rounds":      {Rounds: -1},
	} {
		if _, err := Levels(t.Context(), cfg); err == nil {
			t.Errorf("%s was taken: %+v", name, cfg)
		}
	}
}

func TestPercentilesAndMedians(t *testing.T) {
	t.Parallel()
	var samples []time.Duration
	for i := range 100 {
		samples = append(samples, time.Duration(100-i)*time.Microsecond)
	}
	if got := percentiles(samples); got != (Percentiles{P50: 51, P95: 96, P99: 100}) {
		t.Errorf("percentiles are %+v", got)
	}
	if odd, even := median([]float64{3, 1, 2}), median([]float64{4, 1, 2, 3}); odd != 2 || even != 2.5 {
		t.Errorf("medians are %v and %v", odd, even)
	}
}
