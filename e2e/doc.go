// Command e2e starts Jaeger, Prometheus and the demo on this machine, and holds what they say of the demo
// against what the profiler itself says: every metric, every query of every dashboard and rule, and every
// span. .ci/e2e builds the programs and runs it. Everything listens on loopback, on ports that were free,
// and is ended with it. The last lines are a table; the exit code is 1 when something is not as it should be.
//
// The modules beneath it hold what only this test needs: Jaeger, Prometheus and the types of Grafana's
// dashboards are far larger than the product.
package main
