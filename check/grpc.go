package check

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"curia/api"
)

// grpcProbe asks a server with the gRPC health protocol ("gRPC checks").
type grpcProbe struct {
	target        string // as the definition says
	addr, service string
	options       []grpc.DialOption
}

func newGRPC(def *api.CheckRegistration, opts Options) *grpcProbe {
	creds := insecure.NewCredentials()
	if def.GRPCUseTLS {
		creds = credentials.NewTLS(opts.tlsConfig(def))
	}
	addr, service, _ := strings.Cut(def.GRPC, "/")
	return &grpcProbe{target: def.GRPC, addr: addr, service: service, options: []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithUserAgent(opts.UserAgent),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
	}}
}

// probe makes a connection of its own each time: to find out whether one can be
// made, and because idle ones would keep goroutines.
func (p *grpcProbe) probe(ctx context.Context) Result {
	// The dialer resolves names as every other program on this machine does.
	conn, err := grpc.NewClient("passthrough:///"+p.addr, p.options...)
	if err != nil {
		return failed(err)
	}
	defer conn.Close()
	resp, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: p.service})
	if err != nil {
		return failed(err)
	}
	if s := resp.GetStatus(); s != grpc_health_v1.HealthCheckResponse_SERVING {
		return Result{api.Critical, fmt.Sprintf("gRPC %s serving status: %s", p.target, s)}
	}
	return Result{api.Passing, fmt.Sprintf("gRPC check %s: success", p.target)}
}
