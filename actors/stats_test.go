package actors

import (
	"testing"
)

func TestBatchSizesAreCountedByPowersOfTwo(t *testing.T) {
	t.Parallel()
	tests := map[int]int{1: 0, 2: 1, 3: 2, 4: 2, 5: 3, 8: 3, 128: 7, 129: 8, 256: 8, 257: -1, 5000: -1}
	for size, want := range tests {
		var sizes batchSizes
		sizes.add(size)
		expected := BatchSizes{Sum: int64(size)}
		if want < 0 {
			expected.Larger = 1
		} else {
			expected.Counts[want] = 1
		}
		if got := sizes.read(); got != expected {
			t.Errorf("a batch of %d is counted as %+v, want %+v", size, got, expected)
		}
	}
}
