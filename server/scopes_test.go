package server

import (
	"strings"
	"testing"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// metered is as much of an engine as it takes to make the routes.
type metered struct{ Engine }

func (metered) Metrics() prometheus.Collector { return prometheus.NewRegistry() }

// procedures are those of all services in the protobuf files.
func procedures() map[string]bool {
	paths := map[string]bool{}
	protoregistry.GlobalFiles.RangeFilesByPackage("singularity.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				paths["/"+string(service.FullName())+"/"+string(service.Methods().Get(j).Name())] = true
			}
		}
		return true
	})
	return paths
}

func TestEveryRouteHasAScope(t *testing.T) {
	t.Parallel()
	served := procedures()
	if len(served) == 0 {
		t.Fatal("no procedures were found")
	}
	for pattern := range routes(metered{}, connect.WithHandlerOptions()) {
		_, path, plain := strings.Cut(pattern, " ")
		if plain {
			served[strings.TrimSuffix(path, "{$}")] = true
			continue
		}
		if service := strings.Trim(pattern, "/"); !strings.Contains(pattern, ".") || len(service) != len(pattern)-2 {
			t.Errorf("%q is neither a service nor a route with a method", pattern)
		}
	}
	for path := range served {
		if scopes[path] == "" {
			t.Errorf("%s has no scope; say in scopes who may call it", path)
		}
	}
	for path := range scopes {
		if !served[path] {
			t.Errorf("%s has a scope, but is not served", path)
		}
	}
}

func TestEveryServiceIsServed(t *testing.T) {
	t.Parallel()
	handlers := routes(metered{}, connect.WithHandlerOptions())
	for path := range procedures() {
		if service := path[:strings.LastIndex(path, "/")+1]; handlers[service] == nil {
			t.Errorf("%s is not served", service)
		}
	}
}
