package embedding

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
)

// pair is a line of testdata/pairs.jsonl: two texts that a person called
// similar or not. Kind says what makes the pair easy or hard.
type pair struct {
	A, B    string
	Similar bool
	Kind    string
}

func loadPairs(t *testing.T) []pair {
	t.Helper()
	document, err := os.ReadFile("testdata/pairs.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var pairs []pair
	for lines := bufio.NewScanner(bytes.NewReader(document)); lines.Scan(); {
		var p pair
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			t.Fatalf("pair %d: %v", len(pairs)+1, err)
		}
		pairs = append(pairs, p)
	}
	return pairs
}

// cosine of two vectors of length 1.
func cosine(a, b []float32) float64 {
	var dot float64
	for i := range a {
		dot += float64(a[i]) * float64(b[i])
	}
	return dot
}

func TestSimilarTextsAreCloserThanUnrelatedOnes(t *testing.T) {
	t.Parallel()
	pairs := loadPairs(t)
	if len(pairs) < 60 {
		t.Fatalf("%d labelled pairs, expected at least 60", len(pairs))
	}
	var similar, unrelated []float64
	byKind := map[string][]float64{}
	for _, p := range pairs {
		closeness := cosine(Vector(p.A), Vector(p.B))
		if p.Similar {
			similar = append(similar, closeness)
		} else {
			unrelated = append(unrelated, closeness)
		}
		byKind[p.Kind] = append(byKind[p.Kind], closeness)
	}
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		values := slices.Sorted(slices.Values(byKind[kind]))
		t.Logf("%-10s n=%-3d min %.2f median %.2f max %.2f", kind, len(values), values[0], values[len(values)/2], values[len(values)-1])
	}
	auc := areaUnderCurve(similar, unrelated)
	t.Logf("AUC %.4f over %d similar and %d unrelated pairs", auc, len(similar), len(unrelated))
	if auc < 0.9 {
		t.Errorf("AUC %.4f, expected at least 0.9", auc)
	}
}

// areaUnderCurve is the chance that a similar pair is closer than an unrelated
// one; ties count half.
func areaUnderCurve(similar, unrelated []float64) float64 {
	var wins float64
	for _, s := range similar {
		for _, u := range unrelated {
			switch {
			case s > u:
				wins++
			case s == u:
				wins += 0.5
			}
		}
	}
	return wins / float64(len(similar)*len(unrelated))
}

func TestVectorsHaveLengthOne(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a word":       "hello",
		"one letter":   "a",
		"stop words":   "the of and",
		"signs":        "?!",
		"emoji":        "🎉🎉",
		"no spaces":    "数据库连接失败",
		"combining":    "cafe\u0301",
		"repetition":   strings.Repeat("again and again ", 500),
		"not UTF-8":    "caf\xe9",
		"control":      "a\x00b",
		"longest text": strings.Repeat("word ", 2000),
	} {
		vector := Vector(text)
		if len(vector) != Dimensions {
			t.Errorf("%s: %d dimensions, expected %d", name, len(vector), Dimensions)
		}
		if length := math.Sqrt(cosine(vector, vector)); math.Abs(length-1) > 1e-5 {
			t.Errorf("%s: length %v, expected 1", name, length)
		}
	}
}

func TestEqualTextsHaveEqualVectors(t *testing.T) {
	t.Parallel()
	const text = "The quick brown fox jumps over the lazy dog, and the fox jumps again."
	first, err := Embedder{}.Embed(t.Context(), text)
	if err != nil || !slices.Equal(first.Vector, Vector(text)) {
		t.Fatalf("two vectors of one text differ, or %v", err)
	}
	if closeness := cosine(Vector("Postgres VACUUM"), Vector("postgres, vacuum!")); closeness < 0.9999 {
		t.Errorf("case and punctuation part two texts: %v", closeness)
	}

	// Stored vectors must stay comparable with new ones: a change of this value
	// needs a change of Model.
	hash := sha256.New()
	_ = binary.Write(hash, binary.LittleEndian, first.Vector)
	const want = "bc9f0f64e08fc34c"
	if got := hex.EncodeToString(hash.Sum(nil)[:8]); got != want {
		t.Errorf("the vector's hash is %s, expected %s: rename Model if that is meant", got, want)
	}
}

func TestEmptyTextHasTheZeroVector(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", " \n"} {
		if vector := Vector(text); len(vector) != Dimensions || slices.ContainsFunc(vector, func(v float32) bool { return v != 0 }) {
			t.Errorf("%q has another vector", text)
		}
	}
}

func FuzzVector(f *testing.F) {
	f.Add("hello world")
	f.Add("e\u0301 🎉 \xff \u200d")
	f.Fuzz(func(t *testing.T, text string) {
		vector := Vector(text)
		if length := cosine(vector, vector); length != 0 && math.Abs(length-1) > 1e-5 || length == 0 && strings.TrimSpace(text) != "" {
			t.Errorf("%q has a vector of square length %v", text, length)
		}
		if !slices.Equal(vector, Vector(text)) {
			t.Errorf("%q has two vectors", text)
		}
	})
}

func BenchmarkVector(b *testing.B) {
	text := strings.Repeat("the quick brown fox jumps over the lazy dog ", 20)
	for b.Loop() {
		Vector(text)
	}
}
