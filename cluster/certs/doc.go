// Package certs makes and loads the certificates by which the nodes of a
// cluster know each other.
//
// A cluster has one authority, made once by [Init] and kept where no node runs.
// [Node] makes the certificate of a node, which serves it both as a server and
// as a client. The folder of a node holds ca.crt, node.crt and node.key; [Load]
// reads it, and notices when the files are renewed. Certificates of another
// origin do as well if they have the URI that says which cluster they are for,
// singularity://CLUSTER/node.
package certs
