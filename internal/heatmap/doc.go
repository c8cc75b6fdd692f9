// Package heatmap draws the first touches of one region by place and time: as text for a terminal, and as SVG.
package heatmap
