package sidecar

// Openings are what stays open behind the fence.
var Openings = openings
