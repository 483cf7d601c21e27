package cache

// dues is a heap of the nodes of a shard that have a deadline, the first one on
// top. Each knows its place in it.
type dues[K comparable, V any] []due[K, V]

// A due has the deadline beside the node, so that comparing touches no node.
type due[K comparable, V any] struct {
	at   int64
	node *node[K, V]
}

// set gives n the deadline at, or takes it out if that is Never.
func (d *dues[K, V]) set(n *node[K, V], at int64) {
	switch {
	case at == Never && n.due == notDue:
	case at == Never:
		d.remove(n)
	case n.due == notDue:
		*d = append(*d, due[K, V]{at, n})
		d.up(len(*d) - 1)
	default:
		i := int(n.due)
		(*d)[i].at = at
		d.up(i)
		d.down(int(n.due))
	}
}

func (d *dues[K, V]) remove(n *node[K, V]) {
	if n.due == notDue {
		return
	}
	h := *d
	i, last := int(n.due), len(h)-1
	n.due = notDue
	moved := h[last]
	h[last] = due[K, V]{}
	*d = shrunk(h[:last])
	if i < last {
		d.put(i, moved)
		d.up(i)
		d.down(int(moved.node.due))
	}
}

// shrunk is a list that has lost an element, in half the memory if it fills less
// than a quarter.
func shrunk[L ~[]E, E any](list L) L {
	if cap(list) > 1024 && len(list) < cap(list)/4 {
		return append(make(L, 0, cap(list)/2), list...)
	}
	return list
}

// first is the first deadline, or Never.
func (d dues[K, V]) first() int64 {
	if len(d) == 0 {
		return Never
	}
	return d[0].at
}

func (d dues[K, V]) put(i int, one due[K, V]) {
	d[i] = one
	one.node.due = int32(i)
}

func (d dues[K, V]) up(i int) {
	one := d[i]
	for i > 0 {
		parent := (i - 1) / 2
		if d[parent].at <= one.at {
			break
		}
		d.put(i, d[parent])
		i = parent
	}
	d.put(i, one)
}

func (d dues[K, V]) down(i int) {
	one := d[i]
	for {
		child := 2*i + 1
		if child >= len(d) {
			break
		}
		if child+1 < len(d) && d[child+1].at < d[child].at {
			child++
		}
		if one.at <= d[child].at {
			break
		}
		d.put(i, d[child])
		i = child
	}
	d.put(i, one)
}
