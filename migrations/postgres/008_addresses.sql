-- +goose Up

-- Where the others reach a living boot, as host:port, and clients, by a URL; null
-- for what it has not.
ALTER TABLE singularity.node_leases
    ADD COLUMN gossip_address text,
    ADD COLUMN actors_address text,
    ADD COLUMN api_address text;

-- +goose Down
ALTER TABLE singularity.node_leases
    DROP COLUMN gossip_address,
    DROP COLUMN actors_address,
    DROP COLUMN api_address;
