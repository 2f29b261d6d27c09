package main

import (
	"runtime/debug"

	"curia/api"
)

// version is stamped by the linker.
var version = "unknown"

// apiLevel is the version of the HTTP API that clients may expect: they choose
// features by it.
const apiLevel = "1.21.4"

// buildDate is the time of the commit, if the binary knows it.
func buildDate() string {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.time" {
				return s.Value
			}
		}
	}
	return "1970-01-01T00:00:01Z"
}

// versionInfo is what agent/version tells.
func versionInfo() api.Version {
	return api.Version{HumanVersion: apiLevel, BuildDate: buildDate()}
}
