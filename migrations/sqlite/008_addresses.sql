-- +goose Up

-- Where others reach a living boot, as host:port, and clients, by a URL; null for
-- what it has not.
ALTER TABLE node_leases ADD COLUMN gossip_address TEXT;
ALTER TABLE node_leases ADD COLUMN actors_address TEXT;
ALTER TABLE node_leases ADD COLUMN api_address TEXT;

-- +goose Down
ALTER TABLE node_leases DROP COLUMN api_address;
ALTER TABLE node_leases DROP COLUMN actors_address;
ALTER TABLE node_leases DROP COLUMN gossip_address;
