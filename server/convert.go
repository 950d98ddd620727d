package server

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// text makes a protobuf string of what users wrote: a protobuf string with a
// byte that is not UTF-8 would make the whole answer an error.
func text[T ~string | ~[]byte](document T) string {
	return strings.ToValidUTF8(string(document), "\uFFFD")
}

// timestamp leaves zero times out.
func timestamp(moment time.Time) *timestamppb.Timestamp {
	if moment.IsZero() {
		return nil
	}
	return timestamppb.New(moment)
}

func optionalTimestamp(moment *time.Time) *timestamppb.Timestamp {
	if moment == nil {
		return nil
	}
	return timestamp(*moment)
}

// timeOf is the zero time for an absent one.
func timeOf(message *timestamppb.Timestamp) time.Time {
	if message == nil {
		return time.Time{}
	}
	return message.AsTime()
}

// duration leaves zero durations out.
func duration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}
