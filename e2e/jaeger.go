package main

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/firsttouch/firsttouch/exporter"
)

// jaegerSpan is one as the query API gives it. Times are microseconds.
type jaegerSpan struct {
	TraceID, SpanID, OperationName string
	References                     []struct{ RefType, TraceID, SpanID string }
	StartTime, Duration            int64
	Tags                           []jaegerTag
	ProcessID                      string
}

type jaegerTag struct {
	Key, Type string
	Value     any
}

func (s *jaegerSpan) tag(key string) *jaegerTag {
	for i := range s.Tags {
		if s.Tags[i].Key == key {
			return &s.Tags[i]
		}
	}
	return nil
}

// number is the value of a tag, 0 where there is none.
func (s *jaegerSpan) number(key string) float64 {
	if t := s.tag(key); t != nil {
		v, _ := t.Value.(float64)
		return v
	}
	return 0
}

func (s *jaegerSpan) word(key string) string {
	if t := s.tag(key); t != nil {
		v, _ := t.Value.(string)
		return v
	}
	return ""
}

func (s *jaegerSpan) burst() bool { return s.OperationName == exporter.SpanBurst }

// spans reads the traces of the demo, all or those with tags.
func (j *jaeger) spans(ctx context.Context, began time.Time, tags string) (all []jaegerSpan, err error) {
	var answer struct {
		Data []struct{ Spans []jaegerSpan }
	}
	q := url.Values{"service": {"firsttouch-demo"}, "limit": {"1000000"},
		"start": {strconv.FormatInt(began.UnixMicro(), 10)}, "end": {strconv.FormatInt(time.Now().UnixMicro(), 10)}}
	if tags != "" {
		q.Set("tags", tags)
	}
	if err := fetch(ctx, j.query+"/api/traces", q, &answer); err != nil {
		return nil, err
	}
	for _, t := range answer.Data {
		all = append(all, t.Spans...)
	}
	return all, nil
}

// complete waits until Jaeger has all the spans that the demo says it ended.
func (j *jaeger) complete(ctx context.Context, began time.Time, want int) ([]jaegerSpan, error) {
	for deadline := time.Now().Add(settle); ; time.Sleep(200 * time.Millisecond) {
		got, err := j.spans(ctx, began, "")
		if err != nil {
			return nil, err
		}
		if len(got) == want {
			return got, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("spans in Jaeger: %d, the demo ended %d", len(got), want)
		}
	}
}
