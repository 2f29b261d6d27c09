package main

import (
	"fmt"
	"os"

	"curia/api"
)

var sinkFlag = textFlag("token-sink-file", "`FILE` to write the secret to, readable for its owner alone, instead of printing it. It must not exist.")

// makeToken makes a token and prints it. With -token-sink-file its secret goes
// there and is not printed. The file is there before the token is: a first
// management token whose secret could not be kept would be lost.
func (c *call) makeToken(made func() (*api.ACLToken, error)) error {
	path := c.String("token-sink-file")
	if path == "" {
		t, err := made()
		if err != nil {
			return err
		}
		return c.show(t, func() { c.printToken(t) })
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if os.IsExist(err) {
		return fmt.Errorf("-token-sink-file: %s exists already; move it away first: it is never overwritten", path)
	}
	if err != nil {
		return fmt.Errorf("-token-sink-file: %w", err)
	}
	t, err := made()
	if err != nil {
		_ = f.Close()
		_ = os.Remove(path)
		return err
	}
	_, err = f.WriteString(t.SecretID + "\n")
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("write the secret of the new token %s: %w", t.AccessorID, err)
	}
	shown := *t
	shown.SecretID = ""
	return c.show(&shown, func() {
		shown.SecretID = "in " + path
		c.printToken(&shown)
	})
}
