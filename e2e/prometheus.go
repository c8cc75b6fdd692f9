package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"time"
)

// prometheus is a running server, asked through its API.
type prometheus struct {
	base, metrics string
	// at is when the profiler is known to have said the same for long enough: windows go on. Queries are of that
	// moment once it is known.
	at time.Time
}

type labels map[string]string

// series is one of a result.
type series struct {
	Metric labels
	Value  sample
	Values []sample
}

// sample is a moment in seconds, and a value.
type sample struct {
	at, value float64
}

// UnmarshalJSON reads [seconds, "value"].
func (s *sample) UnmarshalJSON(text []byte) (err error) {
	var pair [2]any
	if err := json.Unmarshal(text, &pair); err != nil {
		return err
	}
	at, ok1 := pair[0].(float64)
	value, ok2 := pair[1].(string)
	if !ok1 || !ok2 {
		return fmt.Errorf("%s is no sample", text)
	}
	s.at = at
	s.value, err = strconv.ParseFloat(value, 64)
	return err
}

// query evaluates an expression, as of the moment at.
func (p *prometheus) query(ctx context.Context, expr string) ([]series, error) {
	q := url.Values{"query": {expr}}
	if !p.at.IsZero() {
		q.Set("time", unixTime(p.at))
	}
	return p.ask(ctx, "/api/v1/query", q)
}

// rangeStep is the step of a panel: what Grafana takes for the $__rate_interval is four scrapes at least.
const (
	rangeStep    = time.Second
	rateInterval = "4s"
)

// queryRange evaluates an expression as a panel does.
func (p *prometheus) queryRange(ctx context.Context, expr string, from, to time.Time) ([]series, error) {
	return p.ask(ctx, "/api/v1/query_range", url.Values{"query": {expr}, "start": {unixTime(from)}, "end": {unixTime(to)}, "step": {rangeStep.String()}})
}

func unixTime(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64)
}

func (p *prometheus) ask(ctx context.Context, path string, q url.Values) ([]series, error) {
	var answer struct {
		Data struct{ Result []series }
	}
	if err := fetch(ctx, p.base+path, q, &answer); err != nil {
		return nil, err
	}
	return answer.Data.Result, nil
}

// labelValues is what a dashboard's variable offers.
func (p *prometheus) labelValues(ctx context.Context, label, match string) (values []string, err error) {
	var answer struct{ Data []string }
	err = fetch(ctx, p.base+"/api/v1/label/"+url.PathEscape(label)+"/values", url.Values{"match[]": {match}}, &answer)
	return answer.Data, err
}

// scrapes waits until the server has tried the target for the first time: it takes seconds to come to that,
// and all that happened before would be one sample.
func (p *prometheus) scrapes(ctx context.Context) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		var answer struct {
			Data struct {
				ActiveTargets []struct{ LastScrape time.Time }
			}
		}
		if err := fetch(ctx, p.base+"/api/v1/targets", nil, &answer); err != nil {
			return err
		}
		if t := answer.Data.ActiveTargets; len(t) == 1 && !t[0].LastScrape.IsZero() {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server does not scrape within %v: targets %+v", patience, answer.Data.ActiveTargets)
		}
	}
}

// rule is one of the server's, evaluated by it.
type rule struct {
	Name, Query, Type, Health, LastError string
	LastEvaluation                       time.Time
}

func (p *prometheus) rules(ctx context.Context) (all []rule, err error) {
	var answer struct {
		Data struct{ Groups []struct{ Rules []rule } }
	}
	err = fetch(ctx, p.base+"/api/v1/rules", nil, &answer)
	for _, g := range answer.Data.Groups {
		all = append(all, g.Rules...)
	}
	return all, err
}

// exemplar is one with the labels of its series.
type exemplar struct {
	series labels
	labels labels
	value  float64
}

func (p *prometheus) exemplars(ctx context.Context, expr string, from, to time.Time) (all []exemplar, err error) {
	var answer struct {
		Data []struct {
			SeriesLabels labels
			Exemplars    []struct {
				Labels labels
				Value  string
			}
		}
	}
	err = fetch(ctx, p.base+"/api/v1/query_exemplars", url.Values{"query": {expr}, "start": {unixTime(from)}, "end": {unixTime(to)}}, &answer)
	for _, s := range answer.Data {
		for _, e := range s.Exemplars {
			v, bad := strconv.ParseFloat(e.Value, 64)
			if bad != nil {
				return nil, bad
			}
			all = append(all, exemplar{s.SeriesLabels, e.Labels, v})
		}
	}
	return all, err
}

// same reports whether two sums of the same stalls, added up in another order, are the same.
func same(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b), 1e-3) }
