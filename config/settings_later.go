package config

import "time"

// laterSettings are keys of features that Curia does not have, known so that an
// existing configuration file starts. Nothing reads them, so they have no field.
func laterSettings() []Setting {
	rows := []Setting{
		{Key: "connect.enabled", Kind: Bool, Doc: "Service mesh."},
		{Key: "connect.ca_provider", Kind: String, Doc: "Where the mesh's certificates come from."},
		{Key: "connect.ca_config", Kind: Object, Secret: true, Doc: "Configuration of that provider."},
		{Key: "connect.enable_mesh_gateway_wan_federation", Kind: Bool, Doc: "Join datacenters through mesh gateways."},
		{Key: "connect.enable_serverless_plugin", Kind: Bool, Doc: "Call serverless functions from the mesh."},
		{Key: "connect.proxy", Kind: Object, Doc: "Managed proxies of older versions."},
		{Key: "connect.proxy_defaults", Kind: Object, Doc: "Managed proxies of older versions."},
		{Key: "default_intention_policy", Kind: String, Doc: "allow or deny: connections in the mesh that no intention names."},
		{Key: "enable_central_service_config", Kind: Bool, Default: true, Doc: "Merge config entries into service registrations."},
		{Key: "use_streaming_backend", Kind: Bool, Default: true, Doc: "Cached health queries follow a stream."},
		{Key: "rpc.enable_streaming", Kind: Bool, Default: true, Doc: "Servers serve such streams."},
		{Key: "peering.enabled", Kind: Bool, Default: true, Doc: "Peering of clusters."},
		{Key: "peering.test_allow_peer_registrations", Kind: Bool, Doc: "Of tests of peering."},
		{Key: "primary_gateways", Flag: "primary-gateway", Kind: StringList, Doc: "Mesh gateways of the primary datacenter."},
		{Key: "primary_gateways_interval", Kind: Duration, Default: 30 * time.Second, Doc: "Time between attempts to reach them."},
		{Key: "auto_encrypt.tls", Kind: Bool, Doc: "Clients get their certificates from the servers."},
		{Key: "auto_encrypt.allow_tls", Kind: Bool, Doc: "Servers give certificates to clients."},
		{Key: "auto_encrypt.dns_san", Kind: StringList, Doc: "Further names in such certificates."},
		{Key: "auto_encrypt.ip_san", Kind: StringList, Doc: "Further addresses in such certificates."},
		{Key: "auto_config", Kind: Object, Secret: true, Doc: "Clients get their configuration from the servers."},
		{Key: "cache.entry_fetch_rate", Kind: Float, Reload: true, Doc: "Fetches per second of one entry of the agent's cache."},
		{Key: "cache.entry_fetch_max_burst", Kind: Int, Default: 2, Reload: true, Doc: "Fetches that may exceed that rate at once."},
		{Key: "segment", Flag: "segment", Kind: String, Doc: "Network segment of this client. Of an edition that Curia does not have."},
		{Key: "segments", Kind: Blocks, Doc: "Network segments. Of an edition that Curia does not have."},
		{Key: "partition", Kind: String, Default: "default", Doc: "Admin partition. Of an edition that Curia does not have."},
		{Key: "license_path", Kind: String, Doc: "Of an edition that Curia does not have."},
		{Key: "reporting", Kind: Object, Doc: "Of an edition that Curia does not have."},
		{Key: "audit", Kind: Object, Doc: "Audit log. Of an edition that Curia does not have."},
		{Key: "cloud", Kind: Object, Secret: true, Doc: "Of a hosted service."},
		{Key: "locality", Kind: StringMap, Doc: "Region and zone of this agent."},
		{Key: "experiments", Kind: StringList, Doc: "Features to try."},
		{Key: "xds.update_max_per_second", Kind: Float, Default: 250.0, Reload: true, Doc: "Updates of proxies per second."},
		{Key: "disable_http_unprintable_char_filter", Kind: Bool, Doc: "Take paths with unprintable characters."},
		{Key: "enable_agent_tls_for_checks", Kind: Bool, Doc: "Checks present the agent's certificate."},
	}
	for i := range rows {
		rows[i].Status = Accepted
	}
	return rows
}
