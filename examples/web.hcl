# Two services with their checks, for `curia services register examples/web.hcl`
# or for a directory of configuration files.
service {
  name = "web"
  id   = "web-1"
  tags = ["v1", "public"]
  port = 8080

  meta {
    version = "1.4.2"
  }

  # 2xx is passing, 429 warning, anything else critical. To be tried without a web
  # server this asks the agent for a key: `curia kv put demo/web up` makes the
  # service healthy, `curia kv delete demo/web` takes it down.
  check {
    name     = "answers"
    http     = "http://localhost:8500/v1/kv/demo/web?raw"
    interval = "2s"
    timeout  = "1s"

    # Gone for good when nobody has repaired it for an hour.
    deregister_critical_service_after = "1h"
  }
}

service {
  name = "worker"

  # The service itself says that it is well:
  # curl -X PUT localhost:8500/v1/agent/check/pass/worker-alive
  checks = [
    {
      id   = "worker-alive"
      name = "alive"
      ttl  = "30s"
    },
  ]
}
