package singularity

import (
	"context"
	"crypto/sha256"
	"fmt"

	"singularity/persistence"
)

// identified is a store that tells its database from all others.
type identified interface {
	Identity(ctx context.Context) (string, error)
}

// ClusterName is what the cluster of those who share a database is called that
// nobody gave a name. It is made of the identity of the database, so that the
// members of two clusters refuse each other wherever their gossip meets.
func ClusterName(identity string) string {
	sum := sha256.Sum256([]byte(identity))
	return fmt.Sprintf("singularity-%x", sum[:6])
}

// nameCluster names a cluster after its database, unless it has a name.
func nameCluster(ctx context.Context, of Cluster, store persistence.Store) (Cluster, error) {
	database, ok := store.(identified)
	if of.Name != "" || !ok {
		return of, nil
	}
	identity, err := database.Identity(ctx)
	if err != nil {
		return of, fmt.Errorf("name the cluster after its database; or set its name, by --cluster: %w", err)
	}
	of.Name = ClusterName(identity)
	return of, nil
}
