package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSecretsInErrors gives every secret setting values that it cannot have, and
// looks for them in the errors and warnings.
func TestSecretsInErrors(t *testing.T) {
	const secret = "s3cret-of-this-test"
	values := map[string]any{
		"text": secret, "list": []any{secret}, "lists": []any{[]any{secret}}, "object": map[string]any{secret: secret}, "objects": []any{map[string]any{"a": secret}},
		"template": "{{ " + secret + " }}", "number in text": "17" + secret,
	}
	tried := 0
	for _, s := range Settings() {
		if !s.Secret {
			continue
		}
		for _, key := range append([]string{s.Key}, s.Aliases...) {
			for name, value := range values {
				text := map[string]any{"server": true, "data_dir": "/nowhere", "bind_addr": "127.0.0.1"}
				at, words := text, strings.Split(key, ".")
				for _, word := range words[:len(words)-1] {
					next := map[string]any{}
					at[word], at = next, next
				}
				at[words[len(words)-1]] = value
				b, err := json.Marshal(text)
				if err != nil {
					t.Fatal(err)
				}
				for _, format := range []Format{JSON, HCL} { // JSON is HCL, too
					file := filepath.Join(t.TempDir(), "conf")
					if err := os.WriteFile(file, b, 0o600); err != nil {
						t.Fatal(err)
					}
					_, warnings, err := Load(Sources{Files: []string{file}, Format: format})
					if said := fmt.Sprint(warnings, err); strings.Contains(said, secret) {
						t.Errorf("%s is a %s: the secret is in %s", key, name, said)
					}
					tried++
				}
			}
		}
	}
	if tried < 200 {
		t.Errorf("tried %d values; want one for each kind of each secret setting", tried)
	}
}

// TestSecretsInBrokenFiles leaves quotes and brackets off.
func TestSecretsInBrokenFiles(t *testing.T) {
	for _, text := range []string{
		`encrypt = s3cret`, `encrypt = s3cret=`, `acl { tokens { default = s3cret } }`, `acl { tokens { default s3cret } }`,
		`encrypt = "s3cret`, `encrypt = ["s3cret" "s3cret"]`, `encrypt = 's3cret'`, `{"encrypt": s3cret}`, `{"encrypt": "s3cret`,
		`encrypt = "s3cret" "s3cret"`, `encrypt = <<s3cret`, "encrypt = <<EOF\ns3cret", `encrypt = "${s3cret"`, `encrypt = s3cret-and-more/x==`,
	} {
		for _, format := range []Format{JSON, HCL} {
			file := filepath.Join(t.TempDir(), "conf")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, _, err := Load(Sources{Files: []string{file}, Format: format})
			if err == nil || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s as %s: got %v; want an error without the secret", text, format, err)
			}
		}
	}
}
