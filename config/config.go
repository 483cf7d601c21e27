// Package config swaps the backends of a program without a change to its code:
// stores, layers and regions are described by a file, by the environment or by
// a struct, in the same words, and opened together.
package config

import (
	"time"
)

// A Config describes the stores of a program and the regions of its memoized
// functions. Load, Parse and FromEnv make one, and a program may write one
// itself; Open opens it.
//
// The names of the fields in a file, and of the variables of FromEnv, are those
// in the json tags.
type Config struct {
	// Default is the name of the store that Stores.Default returns. It may be
	// left out if there is one store, or one that no other has as a layer.
	Default string `json:"default"`

	// Lazy opens a store when it is asked for the first time, and not all of
	// them in Open.
	Lazy bool `json:"lazy"`

	// Stores and Regions are by name. A name has lower-case letters, digits, -
	// and _, at most 64, and begins with a letter or digit, so that FromEnv can
	// say it.
	Stores  map[string]Store  `json:"stores"`
	Regions map[string]Region `json:"regions"`

	source source
}

// A Store is one store: what URL says, or layers of other stores.
type Store struct {
	// URL is as for store.Open, also one of several layers.
	URL string `json:"url"`

	// Layers are names of other stores, nearest first, instead of a URL. A
	// store may be a layer of several, and be used by itself.
	Layers []string `json:"layers"`

	// Prefix and TTL are the parameters prefix and ttl of the URL, which must
	// not have them too. TTL takes no layers, as each has its own.
	Prefix string        `json:"prefix"`
	TTL    time.Duration `json:"ttl"`

	// Coherence, for layers, says how they are kept true: "watch",
	// "watch:2s" or "bounded:5s". Empty is watch.
	Coherence string `json:"coherence"`

	// Timeout, MaxTTL and Degraded, for layers, are as in layered.Options;
	// Degraded is "fail", "miss" or "serve:10s".
	Timeout  time.Duration `json:"timeout"`
	MaxTTL   time.Duration `json:"max_ttl"`
	Degraded string        `json:"degraded"`
}

// A Region is a memo.Region whose store is named. A duration or fraction may be
// memo.Off, in a file the word off.
type Region struct {
	Parent    string `json:"parent"`
	Namespace string `json:"namespace"`
	Store     string `json:"store"` // empty is that of the Parent, and in the end that of the Memo

	TTL          time.Duration `json:"ttl"`
	Stale        time.Duration `json:"stale"`
	Absent       time.Duration `json:"absent"`
	Jitter       float64       `json:"jitter"`
	RefreshAhead float64       `json:"refresh_ahead"`
	EarlyRefresh float64       `json:"early_refresh"`
	SoftTimeout  time.Duration `json:"soft_timeout"`
	LoadTimeout  time.Duration `json:"load_timeout"`
	WaitTimeout  time.Duration `json:"wait_timeout"`
	Retry        time.Duration `json:"retry"`
}
