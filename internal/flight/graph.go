package flight

import (
	"context"
	"slices"
	"strings"
	"sync"
)

// A node is a load as the others see it who may wait for it. Nodes and edges
// are looked at only when one load asks for another.
type node struct {
	group  any           // the *Group, for identity
	keys   []string      // at least one; read only by who is part of the load
	parent *node         // the load that began this one, or nil
	done   chan struct{} // closed when the load has ended

	waits map[want]int // what the load waits for, how many times; guarded by graph
}

// A want is a key that is waited for, and the load of it.
type want struct {
	load *node
	key  string
}

// graph guards the waits of all nodes: a cycle may lead through several
// groups.
var graph sync.Mutex

type nodeKey struct{}

// in returns ctx as the load's own.
func (n *node) in(ctx context.Context) context.Context {
	return context.WithValue(ctx, nodeKey{}, n)
}

// running returns the innermost load that ctx belongs to and that has not
// ended, or nil.
func running(ctx context.Context) *node {
	n, _ := ctx.Value(nodeKey{}).(*node)
	for n != nil && n.ended() {
		n = n.parent
	}
	return n
}

func (n *node) ended() bool {
	select {
	case <-n.done:
		return true
	default:
		return false
	}
}

// inside returns a *CycleError if n is, or is part of, a load of that key. The
// wait-for graph does not show this if the load is void, or joined by nobody,
// since then there is a new one to wait for each time. A load without a key is
// like no other.
func (n *node) inside(group any, key string) error {
	if key = plain(key); key == "" {
		return nil
	}
	var keys []string
	same := func(k string) bool { return plain(k) == key }
	for ; n != nil; n = n.parent {
		if n.group == group && slices.ContainsFunc(n.keys, same) && !n.ended() {
			slices.Reverse(keys)
			return &CycleError{append(append([]string{key}, keys...), key)}
		}
		keys = append(keys, plain(n.keys[0]))
	}
	return nil
}

// plain is a key without what was added to it, behind a zero byte, so that
// nobody joins its load.
func plain(key string) string {
	key, _, _ = strings.Cut(key, "\x00")
	return key
}

// waitFor notes that n, if it is not nil, waits for key and its load, or
// returns a *CycleError if that waits for n already. Call waited afterwards if
// there was no error.
func (n *node) waitFor(load *node, key string) error {
	if n == nil {
		return nil
	}
	graph.Lock()
	defer graph.Unlock()
	if path := load.path(n, make(map[*node]bool)); path != nil {
		return &CycleError{append([]string{path[len(path)-1], key}, path...)}
	}
	if n.waits == nil {
		n.waits = make(map[want]int)
	}
	n.waits[want{load, key}]++
	return nil
}

// waited takes back what waitFor noted.
func (n *node) waited(load *node, key string) {
	if n == nil {
		return
	}
	graph.Lock()
	defer graph.Unlock()
	w := want{load, key}
	if n.waits[w]--; n.waits[w] == 0 {
		delete(n.waits, w)
	}
}

// path returns the keys that lead from n to target along the waits, or nil.
func (n *node) path(target *node, seen map[*node]bool) []string {
	if seen[n] {
		return nil
	}
	seen[n] = true
	for w := range n.waits {
		if w.load == target {
			return []string{w.key}
		}
		if path := w.load.path(target, seen); path != nil {
			return append([]string{w.key}, path...)
		}
	}
	return nil
}
