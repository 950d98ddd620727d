package postgres

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"singularity/persistence"
	"singularity/workflow"
)

// decode reads a parameter as the server would.
func decode(t *testing.T, oid uint32, param []byte) any {
	t.Helper()
	types := pgtype.NewMap()
	known, ok := types.TypeForOID(oid)
	if !ok {
		t.Fatalf("type %d is not known", oid)
	}
	value, err := known.Codec.DecodeValue(types, oid, pgtype.BinaryFormatCode, param)
	if err != nil {
		t.Fatalf("type %s: %v", known.Name, err)
	}
	return value
}

func TestArraysReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	at := time.Date(1999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	id := workflow.RunID{1, 2, 3}
	list := newArrays(0, pgtype.TextOID, pgtype.UUIDOID, pgtype.Int4OID, pgtype.Int8OID, pgtype.Float8OID, pgtype.BoolOID,
		pgtype.TimestamptzOID, pgtype.IntervalOID, pgtype.ByteaOID)
	for _, null := range []bool{false, true} {
		list.textOrNull(map[bool]string{false: "tea ☕"}[null])
		list.uuid(id)
		list.int4(-7)
		list.int8(1 << 40)
		list.float8(0.004)
		list.bool(!null)
		if null {
			list.timeOrNull(time.Time{})
			list.null()
			list.bytes(nil)
		} else {
			list.timeOrNull(at)
			list.interval(90 * time.Second)
			list.bytes([]byte{})
		}
	}
	interval := pgtype.Interval{Microseconds: 90_000_000, Valid: true}
	for i, want := range []struct {
		oid    uint32
		values []any
	}{
		{pgtype.TextArrayOID, []any{"tea ☕", nil}},
		{pgtype.UUIDArrayOID, []any{[16]byte(id), [16]byte(id)}},
		{pgtype.Int4ArrayOID, []any{int32(-7), int32(-7)}},
		{pgtype.Int8ArrayOID, []any{int64(1 << 40), int64(1 << 40)}},
		{pgtype.Float8ArrayOID, []any{0.004, 0.004}},
		{pgtype.BoolArrayOID, []any{true, false}},
		{pgtype.TimestamptzArrayOID, []any{at, nil}},
		{pgtype.IntervalArrayOID, []any{interval, nil}},
		{pgtype.ByteaArrayOID, []any{[]byte{}, nil}},
	} {
		got := decode(t, want.oid, list.params()[i])
		if times, ok := got.([]any); ok && want.oid == pgtype.TimestamptzArrayOID {
			times[0] = times[0].(time.Time).UTC()
		}
		if !reflect.DeepEqual(got, want.values) {
			t.Errorf("column %d is %v, want %v", i, got, want.values)
		}
	}
}

func TestOnlyRowIsItsFields(t *testing.T) {
	t.Parallel()
	list := newArrays(1, pgtype.TextOID, pgtype.TextOID, pgtype.Int4OID)
	list.text("tea")
	list.textOrNull("")
	list.int4(7)
	params := list.scalars()
	if string(params[0]) != "tea" || params[1] != nil || decode(t, pgtype.Int4OID, params[2]) != int32(7) {
		t.Errorf("parameters %v, want tea, NULL and 7", params)
	}
}

func TestColumnsGrowApart(t *testing.T) {
	t.Parallel()
	list := newArrays(2, pgtype.TextOID, pgtype.TextOID)
	var long, short []any
	for i := range 50 {
		long = append(long, fmt.Sprintf("%0200d", i))
		short = append(short, fmt.Sprint(i))
		list.text(long[i].(string))
		list.text(short[i].(string))
	}
	for i, want := range [][]any{long, short} {
		if got := decode(t, pgtype.TextArrayOID, list.params()[i]); !reflect.DeepEqual(got, want) {
			t.Errorf("column %d is %v, want %v", i, got, want)
		}
	}
}

func TestNumberTooLargeIsABadWrite(t *testing.T) {
	t.Parallel()
	for _, number := range []int{1 << 31, -1<<31 - 1} {
		list := newArrays(1, pgtype.Int4OID)
		list.int4(number)
		if !errors.Is(list.err, persistence.ErrBadWrite) {
			t.Errorf("%d: %v, want %v", number, list.err, persistence.ErrBadWrite)
		}
	}
}
