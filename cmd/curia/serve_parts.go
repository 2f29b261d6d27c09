package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"curia/agent"
	"curia/api"
	"curia/config"
	"curia/httpapi"
	"curia/server"
)

// serverAddress is where other servers reach this one.
func serverAddress(cfg *config.Config) string {
	return net.JoinHostPort(cfg.Addresses.Advertise, strconv.Itoa(cfg.Ports.Server))
}

func serverConfig(cfg *config.Config, id string) server.Config {
	meta := map[string]string{"consul-version": apiLevel}
	maps.Copy(meta, cfg.Node.Meta)
	return server.Config{
		Datacenter: cfg.Node.Datacenter,
		Self: api.Node{
			ID: id, Node: cfg.Node.Name, Address: cfg.Addresses.Advertise, Datacenter: cfg.Node.Datacenter,
			TaggedAddresses: cfg.Node.TaggedAddresses, Meta: meta,
		},
		ServerPort:    cfg.Ports.Server,
		SessionTTLMin: cfg.Session.TTLMin,
		DefaultWait:   cfg.Query.DefaultTime, MaxWait: cfg.Query.MaxTime,
		HoldTimeout:   cfg.Performance.RPCHoldTimeout,
		MaxValue:      cfg.Limits.KVMaxValueSize,
		ACL:           aclConfig(cfg),
		Autopilot:     autopilot(cfg.Autopilot),
		NoCoordinates: cfg.Gossip.DisableCoordinates,
	}
}

// autopilot is the configuration of autopilot that the first leader writes.
func autopilot(a config.Autopilot) api.AutopilotConfiguration {
	return api.AutopilotConfiguration{
		CleanupDeadServers: a.CleanupDeadServers, LastContactThreshold: api.ReadableDuration(a.LastContactThreshold),
		MaxTrailingLogs: uint64(a.MaxTrailingLogs), MinQuorum: uint64(max(a.MinQuorum, 0)),
		ServerStabilizationTime: api.ReadableDuration(a.ServerStabilizationTime),
	}
}

func (n *node) agentConfig(cfg *config.Config) agent.Config {
	return agent.Config{
		Node: serverConfig(cfg, n.id).Self, Datacenter: cfg.Node.Datacenter, DataDir: cfg.Node.DataDir,
		About: agent.About{
			Config: selfConfig(cfg, n.id), Debug: cfg.Sanitized(), Meta: orEmpty(cfg.Node.Meta), Version: versionInfo(),
		},
		Checks: agent.Checks{
			Options: checkSettings(cfg), UpdateInterval: cfg.CheckRules.UpdateInterval, DiscardOutput: cfg.CheckRules.DiscardOutput,
		},
		LAN: n.pools.lanMembers, WAN: n.pools.wanMembers, Pools: n.pools.asked(), Reload: n.askReload,
		Tokens: agentTokens(cfg), PersistTokens: cfg.ACL.EnableTokenPersistence, Authorizer: n.resolver(cfg),
		Stats: n.stats, RemoteExec: remoteExec(cfg),
	}
}

// remoteExec says whether others may run commands here.
func remoteExec(cfg *config.Config) agent.RemoteExec {
	if cfg.CheckRules.DisableRemoteExec {
		return agent.NoRemoteExec
	}
	return agent.AllowRemoteExec
}

// stats gives the figures of servers and pools.
func (n *node) stats() map[string]map[string]string {
	if n.serving != nil {
		return n.pools.stats(n.serving.Stats())
	}
	known := strconv.Itoa(len(n.router.Servers(n.pools.cfg.Node.Datacenter)))
	return n.pools.stats(map[string]map[string]string{"consul": {"server": "false", "known_servers": known}})
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// selfConfig gives the Config of agent/self: the fields that the documents of
// all versions show.
func selfConfig(cfg *config.Config, id string) map[string]any {
	client := ""
	if len(cfg.Addresses.Client) > 0 {
		client = cfg.Addresses.Client[0]
	}
	return map[string]any{
		"Datacenter": cfg.Node.Datacenter, "PrimaryDatacenter": cfg.Node.PrimaryDatacenter,
		"NodeName": cfg.Node.Name, "NodeID": id, "Server": cfg.Mode.Server, "Bootstrap": cfg.Mode.Bootstrap,
		"DevMode": cfg.Mode.Dev, "DataDir": cfg.Node.DataDir, "Domain": cfg.Node.Domain,
		"ClientAddr": client, "BindAddr": cfg.Addresses.Bind, "AdvertiseAddr": cfg.Addresses.Advertise,
		"AdvertiseAddrWan": cfg.Addresses.AdvertiseWAN, "LogLevel": cfg.Log.Level,
		"Ports": map[string]any{
			"DNS": cfg.Ports.DNS, "HTTP": cfg.Ports.HTTP, "HTTPS": cfg.Ports.HTTPS, "Server": cfg.Ports.Server,
			"SerfLan": cfg.Ports.SerfLAN, "SerfWan": cfg.Ports.SerfWAN,
		},
		"LeaveOnTerm": cfg.Leave.OnTerminate, "SkipLeaveOnInt": cfg.Leave.SkipOnInterrupt,
		"VerifyIncoming": cfg.TLS.Defaults.VerifyIncoming, "VerifyOutgoing": cfg.TLS.InternalRPC.VerifyOutgoing,
		"VerifyIncomingRPC": cfg.TLS.InternalRPC.VerifyIncoming, "VerifyIncomingHTTPS": cfg.TLS.HTTPS.VerifyIncoming,
		"VerifyServerHostname": cfg.TLS.InternalRPC.VerifyServerHostname, "ServerName": cfg.TLS.ServerName,
		"CAFile": cfg.TLS.Defaults.CAFile, "CAPath": cfg.TLS.Defaults.CAPath,
		"CertFile": cfg.TLS.Defaults.CertFile, "KeyFile": cfg.TLS.Defaults.KeyFile,
		"EnableDebug": cfg.Log.EnableDebug, "EnableSyslog": cfg.Log.Syslog, "RejoinAfterLeave": cfg.Join.RejoinAfterLeave,
		"UiEnabled": cfg.UI.Enabled, "PidFile": cfg.Process.PIDFile, "Protocol": 2,
		"Version": apiLevel, "CuriaVersion": version, "Revision": "", "BuildDate": buildDate(),
	}
}

// httpFace is the HTTP API at work.
type httpFace struct {
	*http.Server
	api *httpapi.Handler
}

// httpServer makes the HTTP API.
func (n *node) httpServer(cfg *config.Config) (*httpFace, error) {
	rules, err := httpRules(cfg)
	if err != nil {
		return nil, err
	}
	hc := httpapi.Config{
		Rules:    rules,
		MaxValue: cfg.Limits.KVMaxValueSize, MaxTxn: cfg.Limits.TxnMaxReqLen,
		DiscoveryMaxStale: cfg.Query.DiscoveryMaxStale,
	}
	if cfg.ACL.Enabled {
		hc.DefaultPolicy = cfg.ACL.DefaultPolicy
	} else {
		hc.Off = []string{"/v1/acl/", "/v1/agent/token/", "/v1/internal/acl/"}
	}
	hc.Raw = map[*api.Op]httpapi.RawFunc{
		api.SnapshotSave.Op:       n.saveSnapshot,
		api.SnapshotRestore.Op:    n.restoreSnapshot,
		api.OpenAPI.Op:            httpapi.OpenAPI(version),
		api.AgentMetrics.Op:       n.tellMetrics(),
		api.AgentMetricsStream.Op: n.streamMetrics,
		api.AgentMonitor.Op:       n.monitor,
		api.AgentProfile.Op:       n.profiles,
	}
	hc.Observe = n.metrics.Observe
	face := httpapi.New(hc, n.agent, n.log)
	srv := &http.Server{
		Handler: face, ReadHeaderTimeout: headerWait, IdleTimeout: idleWait,
		MaxHeaderBytes: cfg.HTTP.MaxHeaderBytes, ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
	}
	srv.RegisterOnShutdown(n.tee().stop)
	srv.RegisterOnShutdown(face.Drain)
	return &httpFace{srv, face}, nil
}

// httpRules are the settings of the HTTP API that can change while it runs.
func httpRules(cfg *config.Config) (httpapi.Rules, error) {
	rules := httpapi.Rules{Headers: cfg.HTTP.ResponseHeaders, Blocked: cfg.HTTP.BlockEndpoints}
	for _, cidr := range cfg.HTTP.AllowWriteFrom {
		p, err := netip.ParsePrefix(cidr)
		if err != nil {
			return rules, fmt.Errorf("http_config.allow_write_http_from: %w", err)
		}
		rules.WriteFrom = append(rules.WriteFrom, p)
	}
	return rules, nil
}

func (n *node) saveSnapshot(w http.ResponseWriter, r *http.Request, req *api.Request) error {
	begun := false
	err := n.upstream().SaveSnapshot(r.Context(), n.agent.WithDefaults(req), func(m api.Meta) io.Writer {
		begun = true
		httpapi.SetMeta(w.Header(), &m)
		w.Header().Set("Content-Type", "application/x-gzip")
		return w
	})
	if err != nil && begun {
		n.log.Error("snapshot broken off", "err", err)
		panic(http.ErrAbortHandler) // so that the client sees that the archive is not whole
	}
	return err
}

func (n *node) restoreSnapshot(_ http.ResponseWriter, r *http.Request, req *api.Request) error {
	return n.upstream().RestoreSnapshot(context.WithoutCancel(r.Context()), n.agent.WithDefaults(req), r.Body)
}

// logHandler writes events as text, or as JSON.
func logHandler(out io.Writer, level slog.Leveler, asJSON bool) slog.Handler {
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: nameTrace}
	if asJSON {
		return slog.NewJSONHandler(out, opts)
	}
	return slog.NewTextHandler(out, opts)
}

// levelTrace is finer than debug.
const levelTrace = slog.LevelDebug - 4

func nameTrace(_ []string, a slog.Attr) slog.Attr {
	if l, ok := a.Value.Any().(slog.Level); ok && l == levelTrace {
		a.Value = slog.StringValue("TRACE")
	}
	return a
}

// logLevels are those of api.LogLevels.
var logLevels = map[string]slog.Level{
	"TRACE": levelTrace, "DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo, "WARN": slog.LevelWarn, "ERR": slog.LevelError,
}

func setLevel(to *slog.LevelVar, name string) { to.Set(logLevels[strings.ToUpper(name)]) }

// banner tells what was started.
func banner(out io.Writer, cfg *config.Config, n *node) {
	var http []string
	for _, l := range n.listeners {
		http = append(http, l.name)
	}
	fmt.Fprintf(out, `==> Starting Curia agent...
           Version: %s (API level %s)
           Node ID: %s
         Node name: %s
        Datacenter: %s
            Server: %t (Bootstrap: %t)
       Client Addr: %s
      Cluster Addr: %s
          Data Dir: %s
==> Log data will now stream in as it occurs:

`, version, apiLevel, n.id, cfg.Node.Name, cfg.Node.Datacenter, cfg.Mode.Server, cfg.Mode.Bootstrap,
		strings.Join(http, ", "), serverAddress(cfg), orText(cfg.Node.DataDir, "none, everything is kept in memory"))
}

func orText(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
