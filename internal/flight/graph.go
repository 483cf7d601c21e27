package flight

import (
	"context"
	"slices"
	"sync"
)

// A node is a load as the others see it who may wait for it. Nodes and edges
// are looked at only when one load asks for another.
type node struct {
	group  any // the *Group, for identity
	key    string
	parent *node         // the load that began this one, or nil
	done   chan struct{} // closed when the load has ended

	waits map[*node]int // the loads that this one waits for, how many times; guarded by graph
}

// graph guards the waits of all nodes: a cycle may lead through several
// groups.
var graph sync.Mutex

func newNode(group any, key string, parent *node) *node {
	return &node{group: group, key: key, parent: parent, done: make(chan struct{})}
}

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
// wait-for graph does not show this if the load is void, since then there is a
// new one to wait for each time.
func (n *node) inside(group any, key string) error {
	keys := []string{key}
	for ; n != nil; n = n.parent {
		keys = append(keys, n.key)
		if n.group == group && n.key == key && !n.ended() {
			slices.Reverse(keys)
			return &CycleError{keys}
		}
	}
	return nil
}

// waitFor notes that n waits for target, or returns a *CycleError if target
// waits for n already. Call waited afterwards if there was no error.
func (n *node) waitFor(target *node) error {
	graph.Lock()
	defer graph.Unlock()
	if path := target.path(n, make(map[*node]bool)); path != nil {
		return &CycleError{append([]string{n.key}, path...)}
	}
	if n.waits == nil {
		n.waits = make(map[*node]int)
	}
	n.waits[target]++
	return nil
}

// waited takes back what waitFor noted.
func (n *node) waited(target *node) {
	graph.Lock()
	defer graph.Unlock()
	if n.waits[target]--; n.waits[target] == 0 {
		delete(n.waits, target)
	}
}

// path returns the keys from n to target along the waits, or nil.
func (n *node) path(target *node, seen map[*node]bool) []string {
	if n == target {
		return []string{n.key}
	}
	if seen[n] {
		return nil
	}
	seen[n] = true
	for next := range n.waits {
		if path := next.path(target, seen); path != nil {
			return append([]string{n.key}, path...)
		}
	}
	return nil
}
