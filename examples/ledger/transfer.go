package main

import (
	"context"

	"singularity/workflow"
)

// Transfer is the input: so many cents from one account to another.
type Transfer struct {
	ID    string `json:"id"`
	From  string `json:"from"`
	To    string `json:"to"`
	Cents int64  `json:"cents"`
}

// Receipt is the output: what the ledger answered, step by step.
type Receipt struct {
	ID       string   `json:"id"`
	Receipts []string `json:"receipts"`
}

// transferring is the state.
type transferring struct {
	Transfer Transfer `json:"transfer"`
	Receipts []string `json:"receipts"`
}

func accept(in Transfer) (transferring, error) {
	switch {
	case in.ID == "":
		return transferring{}, workflow.Invalid("id", "is required")
	case in.Cents <= 0:
		return transferring{}, workflow.Invalidf("cents", "is %d; expected more than 0", in.Cents)
	}
	return transferring{Transfer: in}, nil
}

func result(s *transferring) Receipt { return Receipt{s.Transfer.ID, s.Receipts} }

// NewTransfers returns the workflow that moves money in a ledger.
func NewTransfers(ledger Ledger) *workflow.Workflow[Transfer, Receipt] {
	return workflow.Define("transfer", accept, result,
		workflow.Do("reserve", ledger.effect("reserve")),
		workflow.Do("debit", ledger.effect("debit")),
		workflow.Do("credit", ledger.effect("credit")),
		workflow.Do("confirm", ledger.effect("confirm")),
	).Key(func(in Transfer) string { return in.ID })
}

// effect returns a step that has one effect on the ledger.
func (l Ledger) effect(kind string) func(context.Context, *transferring) error {
	return func(ctx context.Context, s *transferring) error {
		receipt, err := l.Post(ctx, Effect{
			Key:      workflow.Key(ctx),
			Kind:     kind,
			Transfer: s.Transfer,
		})
		if err != nil {
			return err
		}
		s.Receipts = append(s.Receipts, receipt)
		return nil
	}
}
