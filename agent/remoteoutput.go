package agent

import (
	"context"
	"fmt"
	"time"

	"curia/api"
)

// How the output of a command is cut into keys.
const (
	outputPiece = 4 << 10                // bytes of a key at most
	outputDelay = 500 * time.Millisecond // that an output waits to become a piece
	outputAlive = 5 * time.Second        // without output until a sign of life
	outputLimit = 4 << 20                // bytes of a command; what comes after that is dropped
)

// jobOutput sends what a command prints, piece by piece. Who writes waits while a
// piece is on its way. Write may be called concurrently, until close.
type jobOutput struct {
	send   func(ctx context.Context, what string, text []byte) error
	text   chan []byte
	failed chan struct{} // closed when nothing is taken any more
}

func newJobOutput(send func(ctx context.Context, what string, text []byte) error) *jobOutput {
	return &jobOutput{send: send, text: make(chan []byte), failed: make(chan struct{})}
}

// Write implements io.Writer.
func (o *jobOutput) Write(text []byte) (int, error) {
	select {
	case o.text <- append([]byte(nil), text...):
	case <-o.failed: // the command will be told
	}
	return len(text), nil
}

// close says that nothing more comes; run sends the rest.
func (o *jobOutput) close() { close(o.text) }

// run sends until close, or until that fails.
func (o *jobOutput) run(ctx context.Context) error {
	defer close(o.failed)
	var waiting []byte
	number, total := 0, 0
	timer := time.NewTimer(outputAlive)
	defer timer.Stop()
	flush := func() error {
		piece := waiting[:min(len(waiting), outputPiece)]
		if err := o.send(ctx, fmt.Sprintf("%s%05d", api.RemoteOutput, number), piece); err != nil {
			return err
		}
		number++
		waiting = append([]byte(nil), waiting[len(piece):]...)
		timer.Reset(outputAlive)
		if len(waiting) > 0 {
			timer.Reset(outputDelay)
		}
		return nil
	}
	for {
		select {
		case text, more := <-o.text:
			text = bounded(text, &total)
			if len(waiting) == 0 && len(text) > 0 {
				timer.Reset(outputDelay)
			}
			waiting = append(waiting, text...)
			for len(waiting) >= outputPiece || !more && len(waiting) > 0 {
				if err := flush(); err != nil {
					return err
				}
			}
			if !more {
				return nil
			}
		case <-timer.C:
			if err := flush(); err != nil {
				return err
			}
		}
	}
}

// bounded gives what may be sent of an output, and says once that the rest is not.
func bounded(text []byte, total *int) []byte {
	room := outputLimit - *total
	if room < 0 {
		return nil
	}
	if *total += len(text); len(text) <= room {
		return text
	}
	return append(text[:room], fmt.Sprintf("\n[more than %d bytes of output, the rest is dropped]\n", outputLimit)...)
}
