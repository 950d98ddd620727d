package centralcloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sort"
)

// Sketch is a distribution of durations: how many fell into each of a fixed
// row of buckets that grow by 2 %, so that a quantile is right to 1 %. Buckets
// are sorted, and none is empty. In JSON it is a list of [bucket, count].
type Sketch []SketchBucket

// SketchBucket is one bucket of a [Sketch].
type SketchBucket struct {
	Bucket int
	Count  int64
}

// sketchBounds are the lower bounds of all buckets, in microseconds, up to a
// day. They are computed in whole numbers: logarithms differ between machines.
var sketchBounds = func() []int64 {
	const day = 24 * 3600 * 1_000_000
	bounds := []int64{0}
	for bound := int64(1); bound < day; bound += max(1, bound/50) {
		bounds = append(bounds, bound)
	}
	return bounds
}()

// SketchOf returns the sketch of one duration in microseconds.
func SketchOf(micros int64) Sketch {
	above := sort.Search(len(sketchBounds), func(i int) bool { return sketchBounds[i] > micros })
	return Sketch{{Bucket: max(above-1, 0), Count: 1}}
}

// Count returns how many durations the sketch holds.
func (s Sketch) Count() int64 {
	var sum int64
	for _, b := range s {
		sum += b.Count
	}
	return sum
}

// All goes through the buckets: about how long, in microseconds, and how many.
func (s Sketch) All() iter.Seq2[int64, int64] {
	return func(yield func(micros, count int64) bool) {
		for _, b := range s {
			if !yield(middle(b.Bucket), b.Count) {
				return
			}
		}
	}
}

// Quantile returns the duration in microseconds below which the share q of all
// lies, and 0 when there is none.
func (s Sketch) Quantile(q float64) int64 {
	rank := int64(q * float64(s.Count()))
	for _, b := range s {
		if rank -= b.Count; rank < 0 {
			return middle(b.Bucket)
		}
	}
	if len(s) == 0 {
		return 0
	}
	return middle(s[len(s)-1].Bucket)
}

// Within counts the durations up to a limit in microseconds. The bucket of the
// limit itself counts as within.
func (s Sketch) Within(micros int64) int64 {
	var sum int64
	for _, b := range s {
		if sketchBounds[b.Bucket] <= micros {
			sum += b.Count
		}
	}
	return sum
}

func middle(bucket int) int64 {
	if bucket+1 >= len(sketchBounds) {
		return sketchBounds[bucket]
	}
	return (sketchBounds[bucket] + sketchBounds[bucket+1]) / 2
}

// Plus returns the sum of two sketches, of which the second counts with a sign.
func (s Sketch) Plus(other Sketch, sign int64) Sketch {
	if len(other) == 0 {
		return s
	}
	sum := make(Sketch, 0, len(s)+len(other))
	add := func(b SketchBucket) {
		if b.Count != 0 {
			sum = append(sum, b)
		}
	}
	for len(s) > 0 && len(other) > 0 {
		a, b := s[0], other[0]
		switch {
		case a.Bucket < b.Bucket:
			add(a)
			s = s[1:]
		case a.Bucket > b.Bucket:
			add(SketchBucket{b.Bucket, sign * b.Count})
			other = other[1:]
		default:
			add(SketchBucket{a.Bucket, a.Count + sign*b.Count})
			s, other = s[1:], other[1:]
		}
	}
	for _, a := range s {
		add(a)
	}
	for _, b := range other {
		add(SketchBucket{b.Bucket, sign * b.Count})
	}
	return sum
}

// MarshalJSON writes the bucket as [bucket, count].
func (b SketchBucket) MarshalJSON() ([]byte, error) {
	return json.Marshal([2]int64{int64(b.Bucket), b.Count})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (b *SketchBucket) UnmarshalJSON(document []byte) error {
	var pair []int64
	if err := json.Unmarshal(document, &pair); err != nil {
		return fmt.Errorf("bucket of a sketch: %w", err)
	}
	if len(pair) != 2 || pair[0] < 0 || pair[0] >= int64(len(sketchBounds)) {
		return fmt.Errorf("bucket of a sketch: is %s; expected [bucket, count] with a bucket below %d", document, len(sketchBounds))
	}
	b.Bucket, b.Count = int(pair[0]), pair[1]
	return nil
}

// UnmarshalJSON reads a list of buckets in ascending order.
func (s *Sketch) UnmarshalJSON(document []byte) error {
	var buckets []SketchBucket
	if err := json.Unmarshal(document, &buckets); err != nil {
		return err
	}
	*s = buckets
	return s.check()
}

func (s Sketch) check() error {
	for i, b := range s {
		if b.Bucket < 0 || b.Bucket >= len(sketchBounds) || b.Count <= 0 {
			return fmt.Errorf("sketch: bucket %d holds %d; expected a positive number, and a bucket below %d", b.Bucket, b.Count, len(sketchBounds))
		}
		if i > 0 && b.Bucket <= s[i-1].Bucket {
			return errors.New("sketch: the buckets are not in ascending order")
		}
	}
	return nil
}
