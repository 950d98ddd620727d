package server

import (
	"context"

	"singularity/messages"
)

func (s clusterService) ListKeys(ctx context.Context, _ *messages.ListKeysRequest) (*messages.ListKeysResponse, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	nodes, err := s.engine.Keys(ctx)
	if err != nil {
		return nil, err
	}
	return &messages.ListKeysResponse{Nodes: nodes}, nil
}

func (s clusterService) AddKey(ctx context.Context, request *messages.AddKeyRequest) (*messages.AddKeyResponse, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	nodes, err := s.engine.AddKey(ctx, request.GetKey())
	if err != nil {
		return nil, err
	}
	return &messages.AddKeyResponse{Nodes: nodes}, nil
}

func (s clusterService) UseKey(ctx context.Context, request *messages.UseKeyRequest) (*messages.UseKeyResponse, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	nodes, err := s.engine.UseKey(ctx, request.GetFingerprint())
	if err != nil {
		return nil, err
	}
	return &messages.UseKeyResponse{Nodes: nodes}, nil
}

func (s clusterService) RemoveKey(ctx context.Context, request *messages.RemoveKeyRequest) (*messages.RemoveKeyResponse, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	nodes, err := s.engine.RemoveKey(ctx, request.GetFingerprint())
	if err != nil {
		return nil, err
	}
	return &messages.RemoveKeyResponse{Nodes: nodes}, nil
}
