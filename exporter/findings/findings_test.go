package findings_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/firsttouch/firsttouch/exporter/findings"
	"github.com/firsttouch/firsttouch/exporter/recording"
	"github.com/firsttouch/firsttouch/exporter/summary"
	"github.com/firsttouch/firsttouch/profiler"
)

// Stand-ins for the code of a service.
func scan()   {}
func lookup() {}

func pcOf(f any) uintptr { return reflect.ValueOf(f).Pointer() + 1 }

const MiB = 1 << 20

// service is a recording that is made step by step.
type service struct {
	*profiler.SnapshotBuilder
	region profiler.RegionID
	r      recording.Recording
	now    time.Duration
	length time.Duration
	n      int64
}

func of(region profiler.RegionStats) *service {
	s := &service{SnapshotBuilder: profiler.NewSnapshotBuilder(), now: time.Hour, length: time.Minute}
	region.Granule = 4096
	s.region = s.AddRegion(region)
	return s
}

// database is one of so many MiB.
func database(mib int64) *service {
	return of(profiler.RegionStats{Name: "/data/app.db", Kind: profiler.KindAttached, Size: mib * MiB, Mapped: mib * MiB})
}

// touch makes n first touches, step pages apart, by one goroutine.
func (s *service) touch(n int, step int64, stall time.Duration, source profiler.Source, stack profiler.StackID) *service {
	for range n {
		s.now += stall + time.Microsecond
		s.AddFault(profiler.Fault{Time: s.now, Region: s.region, Offset: s.n * 4096, Stall: stall, Source: source, Stack: stack, Goroutine: 7, Messages: 1})
		s.n += step
	}
	return s
}

// requests have ended, of which some had first touches.
func (s *service) requests(count, with uint64, took, stall time.Duration) *service {
	s.r.Ended = recording.RequestTotals{Count: count, WithFaults: with, Duration: took, Stall: stall, Faults: with}
	return s
}

// memory is what the system says: names, each before its value.
func (s *service) memory(figures ...any) *service {
	for i := 0; i+1 < len(figures); i += 2 {
		s.r.Memory = append(s.r.Memory, recording.Figure{Name: figures[i].(string), Value: int64(figures[i+1].(int))})
	}
	return s
}

// stood says that all Ps stood in page faults for so long.
func (s *service) stood(all time.Duration) *service {
	s.SetStats(profiler.Stats{Blocked: profiler.Blocked{Procs: 2, Sum: 2 * all, Any: all, All: all}})
	return s
}

// others are so many requests, some of which waited for faults of others, each with a span below it that did as well.
func (s *service) others(count, waited int) *service {
	for i := range count {
		q := recording.Request{Entry: true, Duration: time.Millisecond}
		if i < waited {
			q.Blocked = time.Microsecond
			s.r.Requests = append(s.r.Requests, recording.Request{Duration: time.Millisecond, Blocked: time.Microsecond})
		}
		s.r.Requests = append(s.r.Requests, q)
	}
	return s
}

func (s *service) said() []summary.Finding {
	s.SetTime(time.Unix(0, 0), time.Unix(0, 0).Add(s.length), time.Hour, time.Hour+s.length)
	s.r.Snapshot = s.Snapshot()
	return findings.Summarize(&s.r, summary.DefaultLimits()).Findings
}

// windows are so many that are alike, with the misses of a cache.
func (s *service) windows(n int, w profiler.RegionWindow, misses ...profiler.MissPoint) *service {
	ws := profiler.WorkingSet{Region: s.region, Sample: 1, Misses: misses}
	for i := range n {
		w.Region, w.Share, w.Start, w.End = s.region, 1, time.Hour+time.Duration(i)*time.Second, time.Hour+time.Duration(i+1)*time.Second
		ws.Windows = append(ws.Windows, w)
	}
	s.r.WorkingSets = []profiler.WorkingSet{ws}
	return s
}

// Each rule speaks of a recording where it must, with its numbers, and is silent of one that is nearly the same.
func TestRules(t *testing.T) {
	const ms = time.Millisecond
	disk, cached := profiler.SourceDisk, profiler.SourcePageCache
	fast := func(s *service, f any) profiler.StackID { return s.AddStack([]uintptr{pcOf(f)}) }
	used := profiler.RegionWindow{Mapped: 64 * MiB, Touched: 20 * MiB, Reused: 20 * MiB}
	again := used
	again.Reread = 8 * MiB
	little := used
	little.Reread = 4 << 10
	knee := []profiler.MissPoint{{Bytes: 16 * MiB, Miss: 0.65}, {Bytes: 32 * MiB, Miss: 0.62}, {Bytes: 64 * MiB, Miss: 0.22}, {Bytes: 128 * MiB, Miss: 0.2}}
	vague := []profiler.MissPoint{{Bytes: 32 * MiB, Miss: 0.62, Error: 0.1}, {Bytes: 64 * MiB, Miss: 0.22, Error: 0.1}}
	for _, tt := range []struct {
		rule   string
		speaks func() *service
		want   []string
		silent map[string]func() *service
	}{
		{"wait", func() *service { return database(64).requests(4000, 1368, 10*time.Second, 4700*ms) },
			[]string{"1,368 of 4,000 requests", "47% of their time", "4.70 s"}, map[string]func() *service{
				"few requests":     func() *service { return database(64).requests(4000, 9, 10*time.Second, 4700*ms) },
				"a small part":     func() *service { return database(64).requests(4000, 1368, 100*time.Second, 4700*ms) },
				"hardly any stall": func() *service { return database(64).requests(4000, 1368, 50*ms, 9*ms) },
				"lost records": func() *service {
					s := database(64).touch(10, 1, ms, cached, 0).requests(4000, 1368, 10*time.Second, 4700*ms)
					s.SetStats(profiler.Stats{Dropped: 1000})
					return s
				},
			}},
		{"blocked", func() *service { return database(64).stood(1200*ms).others(300, 214) },
			[]string{"All 2 Ps stood in page faults for 1.20 s at least (2.0% of the time)", "214 of the 300 requests"}, map[string]func() *service{
				"never":            func() *service { return database(64).others(300, 0) },
				"for a short time": func() *service { s := database(64).stood(99*ms).others(300, 214); s.length = time.Second; return s },
				"for a small part": func() *service { s := database(64).stood(1200*ms).others(300, 214); s.length = time.Hour; return s },
				"not all of the Ps": func() *service {
					s := database(64)
					s.SetStats(profiler.Stats{Blocked: profiler.Blocked{Procs: 2, Any: 30 * time.Second}})
					return s
				},
			}},
		{"code", func() *service { s := database(64); return s.touch(200, 1, ms, cached, fast(s, scan)) },
			[]string{"100% of the wait is in findings_test.scan", "next 4.00 KiB", "in sequence"}, map[string]func() *service{
				"no stacks": func() *service { return database(64).touch(200, 1, ms, cached, 0) },
				"few stacks": func() *service {
					s := database(64)
					return s.touch(10, 1, ms, cached, fast(s, scan)).touch(190, 1, ms, cached, 0)
				},
				"short waits": func() *service { s := database(64); return s.touch(200, 1, time.Microsecond, cached, fast(s, scan)) },
				"spread":      spread,
			}},
		{"cold", func() *service { return database(64).touch(100, 1, 5*ms, disk, 0) },
			[]string{"100% of the wait is for storage", "100 first touches", "5.00 ms on average"}, map[string]func() *service{
				"warm":     func() *service { return database(64).touch(100, 1, 5*ms, cached, 0) },
				"a little": func() *service { return database(64).touch(10, 1, 5*ms, disk, 0) },
				"mostly not": func() *service {
					return database(64).touch(30, 1, 5*ms, disk, 0).touch(100, 1, 5*ms, cached, 0)
				},
			}},
		{"thrash", func() *service { return database(64).windows(6, again) },
			[]string{"app.db is read again and again", "40% of what was used there (48.0 MiB of 120 MiB)"}, map[string]func() *service{
				"two windows": func() *service { return database(64).windows(2, again) },
				"one page":    func() *service { return database(64).windows(6, little) },
				"steady":      func() *service { return database(64).windows(6, used) },
			}},
		{"cache", func() *service { return database(64).windows(5, used, knee...) },
			[]string{"a cache of 64.0 MiB misses 22%", "one of 32.0 MiB 62%"}, map[string]func() *service{
				"two windows":   func() *service { return database(64).windows(2, used, knee...) },
				"a large error": func() *service { return database(64).windows(5, used, vague...) },
				"no knee":       func() *service { return database(64).windows(5, used, knee[0], knee[1]) },
				"small sizes": func() *service {
					return database(64).windows(5, used, profiler.MissPoint{Bytes: 1 << 10, Miss: 0.9}, profiler.MissPoint{Bytes: 2 << 10, Miss: 0.1})
				},
			}},
		{"unused", func() *service { return database(165).touch(52*256, 1, time.Microsecond, cached, 0) },
			[]string{"113 MiB of the 165 MiB of app.db were never touched", "in 60.0 s"}, map[string]func() *service{
				"used":       func() *service { return database(100).touch(80*256, 1, time.Microsecond, cached, 0) },
				"small":      func() *service { return database(16).touch(256, 1, time.Microsecond, cached, 0) },
				"not at all": func() *service { return database(165) },
				"short": func() *service {
					s := database(165).touch(10, 1, time.Microsecond, cached, 0)
					s.length = 4 * time.Second
					return s
				},
				"ended": func() *service {
					return of(profiler.RegionStats{Name: "/data/app.db", Size: 165 * MiB}).touch(10, 1, time.Microsecond, cached, 0)
				},
				"seen late": func() *service {
					return of(profiler.RegionStats{Name: "/data/app.db", Size: 165 * MiB, Mapped: 165 * MiB,
						Mappings: []profiler.MappingStats{{End: 165 * MiB, Latency: 2 * time.Second}}}).touch(10, 1, time.Microsecond, cached, 0)
				},
			}},
		{"mappings", func() *service { return database(64).memory("mappings", 60000, "mappings_limit", 65530) },
			[]string{"60,000 of the 65,530 mappings", "(92%)"}, map[string]func() *service{
				"few":           func() *service { return database(64).memory("mappings", 6000, "mappings_limit", 65530) },
				"limit unknown": func() *service { return database(64).memory("mappings", 60000) },
			}},
		{"amplified", func() *service {
			return database(64).touch(10*256, 1, time.Microsecond, disk, 0).memory("device_reads_bytes", 190*MiB)
		}, []string{"190 MiB read from devices", "10.0 MiB that came from the disk", "19.0 bytes"}, map[string]func() *service{
			"read once": func() *service {
				return database(64).touch(10*256, 1, time.Microsecond, disk, 0).memory("device_reads_bytes", 30*MiB)
			},
			"little": func() *service {
				return database(64).touch(256, 1, time.Microsecond, disk, 0).memory("device_reads_bytes", 190*MiB)
			},
			"unknown": func() *service { return database(64).touch(10*256, 1, time.Microsecond, disk, 0) },
		}},
		{"lost", func() *service {
			s := database(64).touch(90, 1, time.Microsecond, cached, 0)
			s.SetStats(profiler.Stats{Dropped: 10})
			return s
		}, []string{"10 of 100 first touches (10%)"}, map[string]func() *service{
			"one of many": func() *service {
				s := database(64).touch(90, 1, time.Microsecond, cached, 0)
				s.SetStats(profiler.Stats{Dropped: 1})
				return s
			},
		}},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			f := find(tt.speaks().said(), tt.rule)
			if f == nil {
				t.Fatal("says nothing")
			}
			for _, want := range tt.want {
				if !strings.Contains(f.Text, want) {
					t.Errorf("%q is not in %q", want, f.Text)
				}
			}
			if f.Try == "" || f.Evidence == "" || f.Weight <= 0 {
				t.Errorf("%+v", f)
			}
			for name, make := range tt.silent {
				if f := find(make().said(), tt.rule); f != nil {
					t.Errorf("%s: says %q", name, f.Text)
				}
			}
		})
	}
}

// spread is a recording of five places in the code that waited alike.
func spread() *service {
	s := database(64)
	for _, f := range []any{scan, lookup, pcOf, find, of} {
		s.touch(40, 1, time.Millisecond, profiler.SourcePageCache, s.AddStack([]uintptr{pcOf(f)}))
	}
	return s
}

func find(list []summary.Finding, rule string) *summary.Finding {
	for i := range list {
		if list[i].Rule == rule {
			return &list[i]
		}
	}
	return nil
}

// Who else waited is not counted out where hardly anybody is known to have: the time is a figure by itself.
func TestBlockedWithoutRequests(t *testing.T) {
	if f := find(database(64).stood(6*time.Second).others(300, 9).said(), "blocked"); f == nil || strings.Contains(f.Text, "requests") {
		t.Errorf("%+v", f)
	}
}

// Of all that could be said the weightiest five are.
func TestFiveAtMost(t *testing.T) {
	s := database(165)
	s.touch(13312, 1, time.Millisecond, profiler.SourceDisk, s.AddStack([]uintptr{pcOf(scan)})).requests(100, 50, 20*time.Second, 10*time.Second).
		windows(6, profiler.RegionWindow{Mapped: 165 * MiB, Touched: 20 * MiB, Reused: 20 * MiB, Reread: 18 * MiB},
			profiler.MissPoint{Bytes: 32 * MiB, Miss: 0.9}, profiler.MissPoint{Bytes: 64 * MiB, Miss: 0.2})
	list := s.said()
	var rules []string
	for i, f := range list {
		rules = append(rules, f.Rule)
		if i > 0 && f.Weight > list[i-1].Weight {
			t.Errorf("%v", list)
		}
	}
	if fmt.Sprint(rules) != "[thrash wait code cold cache]" {
		t.Errorf("%v", rules)
	}
	if empty := database(1).said(); len(empty) != 0 || empty == nil {
		t.Errorf("of nothing: %v", empty)
	}
}

// What reads here and there is not told to read in sequence.
func TestScatteredCode(t *testing.T) {
	s := database(64)
	f := find(s.touch(200, 37, time.Millisecond, profiler.SourceDisk, s.AddStack([]uintptr{pcOf(lookup)})).said(), "code")
	if f == nil || !strings.Contains(f.Text, "here and there") || strings.Contains(f.Try, "SEQUENTIAL") {
		t.Errorf("%+v", f)
	}
}
