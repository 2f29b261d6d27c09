package wire

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
)

// brokenConn is a connection whose other side has said some bytes before it ended
// the connection, which is noticed as err.
type brokenConn struct {
	net.Conn
	said int
	err  error
}

func (c *brokenConn) Read(b []byte) (int, error) {
	if c.said == 0 {
		return 0, c.err
	}
	c.said--
	return 1, nil
}

func (c *brokenConn) Write([]byte) (int, error) { return 0, c.err }

// TestEnded wants to hear what may be wrong from both sides of a new connection,
// and nothing of it from one that has worked.
func TestEnded(t *testing.T) {
	hint := errors.New("hint")
	reset := &net.OpError{Op: "write", Err: syscall.ECONNRESET}
	for _, c := range []struct {
		said        int
		err         error
		read, write error
	}{
		{0, io.EOF, hint, io.EOF},
		{0, reset, hint, hint},
		{0, &net.OpError{Op: "write", Err: syscall.EPIPE}, &net.OpError{Op: "write", Err: syscall.EPIPE}, hint},
		{0, net.ErrClosed, net.ErrClosed, net.ErrClosed},
		{1, io.EOF, io.EOF, io.EOF},
		{1, reset, reset, reset},
	} {
		conn := &newConn{Conn: &brokenConn{said: c.said, err: c.err}, ended: hint}
		for range c.said {
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
		_, wrote := conn.Write([]byte{1})
		_, read := conn.Read(make([]byte, 1))
		if fmt.Sprint(read, "; ", wrote) != fmt.Sprint(c.read, "; ", c.write) {
			t.Errorf("%v after %d bytes: got %v when reading, %v when writing, wanted %v, %v", c.err, c.said, read, wrote, c.read, c.write)
		}
	}
}
