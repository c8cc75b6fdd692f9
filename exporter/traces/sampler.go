package traces

import sdktrace "go.opentelemetry.io/otel/sdk/trace"

// Sampler wraps a sampler so that the spans it drops are known to the Processor all the same: they are
// recorded, but not sampled, so that no exporter sees them. Without it their faults are
// unattributed.
func Sampler(next sdktrace.Sampler) sdktrace.Sampler { return sampler{next} }

type sampler struct{ next sdktrace.Sampler }

func (s sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	r := s.next.ShouldSample(p)
	if r.Decision == sdktrace.Drop {
		r.Decision = sdktrace.RecordOnly
	}
	return r
}

func (s sampler) Description() string { return "firsttouch.Sampler{" + s.next.Description() + "}" }
