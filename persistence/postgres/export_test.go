package postgres

// What tests need of a partitioned store: to make one at another time, and the
// ids of a time.
var (
	PartitionAt = partition
	FirstID     = firstID
)
