//go:build goexperiment.arenas

package profiler

const arenasExperiment = true
