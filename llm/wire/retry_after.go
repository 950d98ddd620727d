package wire

import (
	"net/http"
	"strconv"
	"time"
)

// retryAfter reads how long the server wants to be left alone: milliseconds in
// the header that some vendors have of their own, else seconds or a date.
func retryAfter(header http.Header, now time.Time) time.Duration {
	if millis, err := strconv.ParseFloat(header.Get("Retry-After-Ms"), 64); err == nil {
		return saneDelay(millis * float64(time.Millisecond))
	}
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(value, 64); err == nil {
		return saneDelay(seconds * float64(time.Second))
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}

// saneDelay drops what is not a delay: negative, infinite, not a number.
func saneDelay(nanos float64) time.Duration {
	if !(nanos > 0 && nanos < float64(1<<62)) {
		return 0
	}
	return time.Duration(nanos)
}
