package postgres

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"singularity/persistence"
	"singularity/workflow"
)

// arrays are the parameters of a statement over many rows: for each column an
// array with one element a row, in the binary form of the protocol. The fields
// of a row are added in the order of the columns.
type arrays struct {
	columns []column
	next    int // the column that gets the next field
	rows    int // that are complete
	err     error
}

// column is the array of one column, header and all.
type column struct {
	element uint32 // the type's number
	binary  []byte
	nulls   bool
}

// headerSize is that of an array with one dimension.
const headerSize = 20

func newArrays(rows int, elements ...uint32) *arrays {
	a, _ := spare.Get().(*arrays)
	if a == nil {
		a = &arrays{}
	}
	a.columns = slices.Grow(a.columns[:0], len(elements))[:len(elements)]
	a.next, a.rows, a.err = 0, 0, nil
	const usual = 16 // bytes of a field, with its length
	for i, element := range elements {
		c := &a.columns[i]
		c.element, c.nulls = element, false
		c.binary = slices.Grow(c.binary[:0], headerSize+rows*usual)[:headerSize]
	}
	return a
}

// spare are arrays that were sent: batches of one size follow each other, and
// most of what they would allocate is here.
var spare sync.Pool

// mostSpare bounds what is kept of an array, in bytes.
const mostSpare = 1 << 20

// free gives the arrays up, and with them the parameters that were taken from
// them.
func (a *arrays) free() {
	for _, c := range a.columns {
		if cap(c.binary) > mostSpare {
			return
		}
	}
	spare.Put(a)
}

// field returns the column whose turn it is.
func (a *arrays) field() *column {
	c := &a.columns[a.next]
	if a.next++; a.next == len(a.columns) {
		a.next = 0
		a.rows++
	}
	return c
}

func (a *arrays) null() {
	c := a.field()
	c.nulls = true
	c.binary = append(c.binary, 0xff, 0xff, 0xff, 0xff)
}

// text adds a string.
func (a *arrays) text(s string) {
	c := a.field()
	c.binary = append(binary.BigEndian.AppendUint32(c.binary, uint32(len(s))), s...)
}

// textOrNull adds a string, and NULL for the empty one.
func (a *arrays) textOrNull(s string) {
	if s == "" {
		a.null()
		return
	}
	a.text(s)
}

// bytes adds a document or other bytes, and NULL for nil.
func (a *arrays) bytes(b []byte) {
	if b == nil {
		a.null()
		return
	}
	c := a.field()
	c.binary = append(binary.BigEndian.AppendUint32(c.binary, uint32(len(b))), b...)
}

func (a *arrays) uuid(id workflow.RunID) { a.bytes(id[:]) }

func (a *arrays) int4(n int) {
	if n < math.MinInt32 || n > math.MaxInt32 {
		a.err = fmt.Errorf("%w: %d is too large", persistence.ErrBadWrite, n)
	}
	c := a.field()
	c.binary = binary.BigEndian.AppendUint32(append(c.binary, 0, 0, 0, 4), uint32(n))
}

func (a *arrays) int8(n int64) {
	c := a.field()
	c.binary = binary.BigEndian.AppendUint64(append(c.binary, 0, 0, 0, 8), uint64(n))
}

func (a *arrays) float8(f float64) { a.int8(int64(math.Float64bits(f))) }

func (a *arrays) bool(b bool) {
	c := a.field()
	c.binary = append(c.binary, 0, 0, 0, 1, 0)
	if b {
		c.binary[len(c.binary)-1] = 1
	}
}

// epoch is when the times of the protocol begin.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (a *arrays) time(t time.Time) { a.int8(t.UnixMicro() - epoch.UnixMicro()) }

// timeOrNull adds a time, and NULL for the zero one.
func (a *arrays) timeOrNull(t time.Time) {
	if t.IsZero() {
		a.null()
		return
	}
	a.time(t)
}

// interval adds a duration as microseconds, with no days and months.
func (a *arrays) interval(d time.Duration) {
	c := a.field()
	c.binary = binary.BigEndian.AppendUint64(append(c.binary, 0, 0, 0, 16), uint64(d.Microseconds()))
	c.binary = append(c.binary, 0, 0, 0, 0, 0, 0, 0, 0)
}

// params completes the arrays.
func (a *arrays) params() [][]byte {
	params := make([][]byte, len(a.columns))
	for i, c := range a.columns {
		header := c.binary[:headerSize]
		binary.BigEndian.PutUint32(header[0:], 1) // dimensions
		if c.nulls {
			binary.BigEndian.PutUint32(header[4:], 1)
		}
		binary.BigEndian.PutUint32(header[8:], c.element)
		binary.BigEndian.PutUint32(header[12:], uint32(a.rows))
		binary.BigEndian.PutUint32(header[16:], 1) // the first subscript
		params[i] = c.binary
	}
	return params
}

// scalars are the fields of the only row, as parameters that are no arrays.
func (a *arrays) scalars() [][]byte {
	params := make([][]byte, len(a.columns))
	for i, c := range a.columns {
		if !c.nulls {
			params[i] = c.binary[headerSize+4:]
		}
	}
	return params
}

// uuids is a single array of run ids.
func uuids(ids []workflow.RunID) [][]byte {
	list := newArrays(len(ids), pgtype.UUIDOID)
	for _, id := range ids {
		list.uuid(id)
	}
	return list.params()
}

// Parameters that are no arrays.

func textParam(s string) []byte { return []byte(s) }

func int8Param(n int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

func float8Param(f float64) []byte { return binary.BigEndian.AppendUint64(nil, math.Float64bits(f)) }

// timeParam is -infinity for the zero time.
func timeParam(t time.Time) []byte {
	if t.IsZero() {
		return binary.BigEndian.AppendUint64(nil, 1<<63)
	}
	return binary.BigEndian.AppendUint64(nil, uint64(t.UnixMicro()-epoch.UnixMicro()))
}

func boolParam(b bool) []byte {
	if b {
		return []byte{1}
	}
	return []byte{0}
}
