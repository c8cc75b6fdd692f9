// Package bbolttest proves, by its tests, that a profiled file mapping is still the file: a
// database (bbolt) that grows under readers, record locks, advice, protection, truncation, and
// mappings that their owner moves, cuts and gives back.
package bbolttest
