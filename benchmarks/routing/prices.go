package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"singularity/centralcloud/learner"
)

// readPrices reads CSV with a header that names at least the columns of a quoted
// price. Its error names every price that cannot be.
func readPrices(file io.Reader) ([]learner.Price, error) {
	quoted, err := readQuoted(csv.NewReader(file))
	if err != nil {
		return nil, err
	}
	prices := make([]learner.Price, len(quoted))
	var problems []error
	for i, q := range quoted {
		if prices[i], err = q.Price(); err != nil {
			problems = append(problems, fmt.Errorf("entry %d (%s/%s): %w", i+1, q.Provider, q.Model, err))
		}
	}
	return prices, errors.Join(problems...)
}

func readQuoted(reader *csv.Reader) ([]learner.QuotedPrice, error) {
	header, err := reader.Read()
	if err != nil {
		return nil, fmt.Errorf("the header: %w", err)
	}
	columns := map[string]int{}
	for _, name := range []string{"model", "provider", "usd_per_mtok_in", "usd_per_mtok_out"} {
		if columns[name] = slices.Index(header, name); columns[name] < 0 {
			return nil, fmt.Errorf("the header has no column %s", name)
		}
	}
	var quoted []learner.QuotedPrice
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return quoted, nil
		}
		if err != nil {
			return nil, err
		}
		q := learner.QuotedPrice{Model: record[columns["model"]], Provider: record[columns["provider"]]}
		for name, field := range map[string]*float64{"usd_per_mtok_in": &q.In, "usd_per_mtok_out": &q.Out} {
			if *field, err = strconv.ParseFloat(record[columns[name]], 64); err != nil {
				line, _ := reader.FieldPos(0)
				return nil, fmt.Errorf("line %d: %s: %q is no number", line, name, record[columns[name]])
			}
		}
		quoted = append(quoted, q)
	}
}
