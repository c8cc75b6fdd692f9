package main

import (
	"os"
	"testing"
)

func TestThePageIsCurrent(t *testing.T) {
	have, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != string(page()) {
		t.Error("docs/metrics.md is not what the catalogue says: run go generate ./exporter")
	}
}
