package httpapi_test

import (
	"context"
	"reflect"

	"curia/api"
	"curia/httpapi"
)

// recorder is a Caller that answers every verb with its zero result, or with
// what it is told, and keeps the last request.
type recorder struct {
	last   *api.Request
	answer func(ctx context.Context, req *api.Request) (*api.Response, error)
}

// Call implements api.Caller.
func (r *recorder) Call(ctx context.Context, req *api.Request) (*api.Response, error) {
	r.last = req
	if r.answer != nil {
		return r.answer(ctx, req)
	}
	return &api.Response{Value: reflect.Zero(req.Op.Result).Interface()}, nil
}

// httpConfigOfSmallValues takes values of 1000 bytes.
var httpConfigOfSmallValues = httpapi.Config{MaxValue: 1000}
