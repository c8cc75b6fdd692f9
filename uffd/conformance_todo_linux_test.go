package uffd

import "testing"

func conformPagemapScan(t *testing.T, kind MemoryKind) { t.Skip("todo") }
func conformStress(t *testing.T, kind MemoryKind)      { t.Skip("todo") }
func conformRWP(t *testing.T, kind MemoryKind)         { t.Skip("todo") }
