// Package embedding is the embedder that is built in: hashed words and
// character n-grams. It needs no download and no network, and takes
// microseconds.
//
// It knows spelling, not meaning: texts are close when they share words, parts
// of words or pairs of words. Typos, inflections and another word order keep
// texts close; synonyms do not. Where that is not enough, an embedding model
// behind the same interface is.
package embedding

import (
	"context"
	"math"
	"strings"
	"unicode"
	"unicode/utf8"

	"singularity/llm"
)

// Dimensions is the length of the vectors.
const Dimensions = 2560

// Model names this embedder. A change of the vectors needs a new name: stored
// ones can be compared only with their like.
const Model = "hashed-ngram-2560"

// Embedder is the built-in [llm.Embedder].
type Embedder struct{}

var _ llm.Embedder = Embedder{}

// Provider implements [llm.Embedder].
func (Embedder) Provider() string { return "builtin" }

// Model implements [llm.Embedder].
func (Embedder) Model() string { return Model }

// Embed implements [llm.Embedder]. It never fails.
func (Embedder) Embed(_ context.Context, text string) (llm.Embedding, error) {
	return llm.Embedding{Vector: Vector(text)}, nil
}

// What a feature weighs against a whole word.
const (
	gramsWeight = 1.0 // of all n-grams of a word together
	pairWeight  = 0.5 // of a word and its successor
	stopWeight  = 0.1 // of a stop word, against another word
)

// Vector returns the vector of a text: of length 1, and the same on every
// machine. Equal texts have equal vectors; an empty text has the zero vector.
func Vector(text string) []float32 {
	var sums [Dimensions]float64
	for _, word := range termsOf(text) {
		// A word said ten times matters more than once, but not ten times more.
		weight := word.weight * (1 + math.Log(float64(word.count)))
		add(&sums, 'w', word.text, weight)
		addGrams(&sums, word.text, gramsWeight*weight)
		for _, next := range word.followers {
			add(&sums, 'p', word.text+" "+next.text, pairWeight*math.Sqrt(word.weight*next.weight))
		}
	}
	return normalised(&sums)
}

// term is a distinct word of a text.
type term struct {
	text      string
	weight    float64
	count     int
	followers []*term
}

// termsOf splits a text into its distinct terms, in the order of their first
// use: sums of floats depend on order.
func termsOf(text string) []*term {
	var terms []*term
	var previous *term
	known := make(map[string]*term)
	for word := range strings.FieldsFuncSeq(strings.ToLower(text), isSeparator) {
		current := known[word]
		if current == nil {
			current = &term{text: word, weight: weightOf(word)}
			known[word] = current
			terms = append(terms, current)
		}
		current.count++
		if previous != nil {
			previous.followers = append(previous.followers, current)
		}
		previous = current
	}
	if len(terms) == 0 { // signs only, such as emoji
		if signs := strings.TrimSpace(text); signs != "" {
			terms = append(terms, &term{text: signs, weight: 1, count: 1})
		}
	}
	return terms
}

func isSeparator(r rune) bool {
	return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
}

// stopWords are the English words that say the least about a text.
var stopWords = func() map[string]bool {
	words := make(map[string]bool)
	for word := range strings.FieldsSeq(`
		a about after again all also am an and any are as at be because been before being but by can could did do does
		for from get give had has have he her him his how i if in into is it its just me more most my no not of off on
		or our out please s she should so some t than that the their them then there these they this to up us was we
		were what when where which while who whom why will with would you your`) {
		words[word] = true
	}
	return words
}()

// weightOf is how much a word says: short words say less than long ones, stop
// words next to nothing.
func weightOf(word string) float64 {
	if stopWords[word] {
		return stopWeight
	}
	const full = 6 // letters from which a word counts in full
	return min(1, float64(utf8.RuneCountInString(word)+1)/(full+1))
}

// addGrams adds the 3- to 5-grams of a word between its boundary marks. They
// share one weight, so that a long word outweighs a short one by weightOf
// alone.
func addGrams(sums *[Dimensions]float64, word string, weight float64) {
	marked := []rune("<" + word + ">")
	var grams []string
	for size := 3; size <= 5; size++ {
		for start := 0; start+size <= len(marked); start++ {
			grams = append(grams, string(marked[start:start+size]))
		}
	}
	for _, gram := range grams {
		add(sums, 'g', gram, weight/math.Sqrt(float64(len(grams))))
	}
}

// add puts a feature into the dimension that its hash says, with the sign that
// its hash says, so that features which share a dimension cancel out on
// average.
func add(sums *[Dimensions]float64, kind byte, feature string, weight float64) {
	hash := fnv1a(kind, feature)
	if hash>>63 == 1 {
		weight = -weight
	}
	sums[hash%Dimensions] += exactly(weight)
}

// exactly rounds a product before it is added to a sum. Without the conversion
// some processors would fuse the two, to other last digits than the rest.
func exactly(product float64) float64 { return float64(product) }

// fnv1a is the 64-bit FNV-1a hash, whose values never change, with a final mix
// for its weak high bits.
func fnv1a(kind byte, text string) uint64 {
	const offset, prime = 14695981039346656037, 1099511628211
	hash := (uint64(offset) ^ uint64(kind)) * prime
	for i := range len(text) {
		hash = (hash ^ uint64(text[i])) * prime
	}
	hash ^= hash >> 32
	hash *= 0xd6e8feb86659fd93
	return hash ^ hash>>32
}

func normalised(sums *[Dimensions]float64) []float32 {
	var square float64
	for _, sum := range sums {
		square += exactly(sum * sum)
	}
	vector := make([]float32, Dimensions)
	if square == 0 {
		return vector
	}
	norm := math.Sqrt(square)
	for i, sum := range sums {
		vector[i] = float32(sum / norm)
	}
	return vector
}
