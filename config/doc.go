// Package config is the one table of settings of Curia, and what follows from it.
//
// # Owns
//
// The table (settings_*.go): one row per setting with its key, flag, default,
// whether a reload may change it, whether it has an effect yet, and where its
// value lives. From the table follow the decoding of JSON and HCL files, the
// merge order, the errors about unknown keys, the flags of the command line,
// docs/config.md, the difference between two configurations and the listing
// shown by /v1/agent/self. Also the rules that no row can say alone:
// normalise.go fills what depends on other settings, validate.go refuses what
// cannot work.
//
// A new setting is one row, and one field of the struct above it if anybody
// reads it. A feature that arrives removes `Status: Accepted` from its rows.
//
// # Never
//
// It never opens a socket, writes a file or logs: warnings are returned. It
// reads the files it is told to read, the host name, and the addresses of
// the network interfaces when a setting asks for them.
//
// # Goroutines
//
// None. A *Config is written by Load alone and is safe to share afterwards.
//
// # Promises
//
// The same sources give the same configuration. Every unknown key and every
// wrong value of all sources is reported in one error, with its file and key.
// No file, however broken, makes the decoder panic, overflow the stack or
// read more than 4 MiB.
package config
