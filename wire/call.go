package wire

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"

	"curia/api"
)

// Archivist writes and reads archives of the whole state ("Snapshot"). Servers
// and Router are archivists.
type Archivist interface {
	// SaveSnapshot writes an archive to what begin returns, which is told the index
	// first. After an error before begin was called nothing has been written.
	SaveSnapshot(ctx context.Context, req *api.Request, begin func(api.Meta) io.Writer) error
	// RestoreSnapshot replaces the whole state by an archive.
	RestoreSnapshot(ctx context.Context, req *api.Request, archive io.Reader) error
}

// The methods of the service, by their names on the wire.
const (
	serviceName = "curia.Agent"
	methodCall  = "/" + serviceName + "/Call"
	methodSave  = "/" + serviceName + "/Save"
	methodLoad  = "/" + serviceName + "/Load"
)

// The streams of the service: Save sends parts, Load takes them.
var (
	saveStream = grpc.StreamDesc{StreamName: "Save", Handler: serveSave, ServerStreams: true}
	loadStream = grpc.StreamDesc{StreamName: "Load", Handler: serveLoad, ClientStreams: true}
)

// part is a piece of an archive. The first part of Load has the question, the
// first of Save the reply, and the last of Save a reply if it failed.
type part struct {
	Question *question
	Reply    *reply
	Data     []byte
}

// partSize is how many bytes of an archive travel together.
const partSize = 64 << 10

// keepAlive finds peers that have vanished without a word.
const (
	keepAliveEvery = 10 * time.Second
	keepAliveWait  = 5 * time.Second
)

func newCalls(service *callee) *grpc.Server {
	s := grpc.NewServer(
		grpc.ForceServerCodec(messages{}),
		grpc.MaxRecvMsgSize(maxQuestion), grpc.MaxSendMsgSize(maxReply), grpc.MaxConcurrentStreams(maxStreams),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepAliveEvery, Timeout: keepAliveWait}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepAliveEvery / 2, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
	)
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: serviceName, HandlerType: (*Service)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Call", Handler: serveCall}},
		Streams: []grpc.StreamDesc{saveStream, loadStream, talkStream},
	}, service)
	return s
}

// serveCall answers one request. Errors are part of the answer.
func serveCall(service any, ctx context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	q := &question{}
	if err := read(q); err != nil {
		return nil, err
	}
	req, err := q.request()
	if err != nil {
		return tell(nil, err), nil
	}
	return tell(service.(Service).Call(ctx, req)), nil
}

func serveSave(service any, stream grpc.ServerStream) error {
	q := &question{}
	if err := stream.RecvMsg(q); err != nil {
		return err
	}
	req, err := q.request()
	if err == nil {
		err = service.(Service).SaveSnapshot(stream.Context(), req, func(m api.Meta) io.Writer {
			return &partWriter{first: tell(&api.Response{Meta: m}, nil), send: stream.SendMsg}
		})
	}
	if err != nil {
		return stream.SendMsg(&part{Reply: tell(nil, err)})
	}
	return nil
}

func serveLoad(service any, stream grpc.ServerStream) error {
	first := &part{}
	if err := stream.RecvMsg(first); err != nil {
		return err
	}
	if first.Question == nil {
		return stream.SendMsg(tell(nil, api.Errorf(api.Invalid, "an archive came without a request")))
	}
	req, err := first.Question.request()
	if err == nil {
		err = service.(Service).RestoreSnapshot(stream.Context(), req, &partReader{receive: stream.RecvMsg})
	}
	return stream.SendMsg(tell(nil, err))
}

// partWriter sends what is written to it in parts, the first with a reply.
type partWriter struct {
	first *reply
	send  func(any) error
}

// Write implements io.Writer.
func (w *partWriter) Write(b []byte) (int, error) {
	sent := 0
	for sent < len(b) || w.first != nil {
		n := min(len(b)-sent, partSize)
		if err := w.send(&part{Reply: w.first, Data: b[sent : sent+n]}); err != nil {
			return sent, err
		}
		w.first = nil
		sent += n
	}
	return sent, nil
}

// partReader reads the data of the parts that arrive.
type partReader struct {
	receive func(any) error
	rest    []byte
}

// Read implements io.Reader. It ends with the stream, or with the failure that a
// part tells of.
func (r *partReader) Read(b []byte) (int, error) {
	for len(r.rest) == 0 {
		p := &part{}
		if err := r.receive(p); err != nil {
			return 0, err
		}
		if p.Reply != nil && p.Reply.Failure != nil {
			return 0, p.Reply.Failure.err()
		}
		r.rest = p.Data
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// saveAt lets a server write an archive. A failure after the first part is told
// by the writer's not being finished: the error is returned all the same.
func saveAt(ctx context.Context, conn *grpc.ClientConn, req *api.Request, begin func(api.Meta) io.Writer) error {
	q, err := ask(req)
	if err != nil {
		return err
	}
	stream, err := conn.NewStream(ctx, &saveStream, methodSave)
	if err != nil {
		return err
	}
	if err := errors.Join(stream.SendMsg(q), stream.CloseSend()); err != nil {
		return err
	}
	first := &part{}
	if err := stream.RecvMsg(first); err != nil {
		return err
	}
	if first.Reply == nil {
		return errors.New("an archive came without its index")
	}
	resp, err := first.Reply.response(&api.Request{Op: req.Op, JSON: true})
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(onlyWriter{begin(resp.Meta)}, &partReader{receive: stream.RecvMsg, rest: first.Data}, make([]byte, partSize))
	return err
}

// onlyWriter hides that a writer could read by itself.
type onlyWriter struct{ io.Writer }

// loadAt hands an archive to a server.
func loadAt(ctx context.Context, conn *grpc.ClientConn, req *api.Request, archive io.Reader) error {
	q, err := ask(req)
	if err != nil {
		return err
	}
	stream, err := conn.NewStream(ctx, &loadStream, methodLoad)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(&part{Question: q}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	_, err = io.CopyBuffer(&partWriter{send: stream.SendMsg}, archive, make([]byte, partSize))
	if err != nil && !errors.Is(err, io.EOF) { // EOF: it has answered already
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	answer := &reply{}
	if err := stream.RecvMsg(answer); err != nil {
		return err
	}
	return answer.Failure.err()
}
