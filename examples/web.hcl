# A service with two checks, for `curia services register web.hcl` or for a
# directory of configuration files.
service {
  name = "web"
  id   = "web-1"
  tags = ["v1", "public"]
  port = 8080

  meta {
    version = "1.4.2"
  }

  # 2xx is passing, 429 warning, anything else critical.
  check {
    name     = "answers"
    http     = "http://localhost:8080/health"
    interval = "10s"
    timeout  = "2s"

    # Gone for good when nobody has repaired it for an hour.
    deregister_critical_service_after = "1h"
  }
}

service {
  name = "worker"

  # The service itself says that it is well: PUT /v1/agent/check/pass/worker-alive.
  checks = [
    {
      id   = "worker-alive"
      name = "alive"
      ttl  = "30s"
    },
  ]
}
