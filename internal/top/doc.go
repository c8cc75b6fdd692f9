// Package top shows what a live agent sees, again and again: what was touched since the last look, and what
// in all.
package top
