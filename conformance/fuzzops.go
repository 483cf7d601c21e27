package conformance

import (
	"errors"
	"time"

	"github.com/cairncache/cairn/store"
)

// A modelOp makes a call, checks it against the model and changes the model.
type modelOp struct {
	ability string
	step    func(m *model, c *client)
}

var modelOps = []modelOp{
	{"", func(m *model, c *client) { key := m.key(); m.read(c.Get(key), key) }},
	{"", (*model).set},
	{"", func(m *model, c *client) { key := m.key(); c.Delete(key).ok(); delete(m.entries, key) }},
	{"", (*model).ttlOf},
	{"", (*model).pause},
	{"GetMany", (*model).getMany},
	{"SetMany", (*model).setMany},
	{"DeleteMany", func(m *model, c *client) {
		first, second := m.key(), m.key()
		c.DeleteMany(first, second).ok()
		delete(m.entries, first)
		delete(m.entries, second)
	}},
	{"GetWithTTL", (*model).getWithTTL},
	{"GetManyWithTTL", (*model).getManyWithTTL},
	{"Add", (*model).add},
	{"CompareAndSwap", (*model).swap},
	{"CompareAndDelete", (*model).remove},
	{"Touch", (*model).touch},
	{"Keys", (*model).list},
	{"Clear", (*model).clear},
	{"Live", func(m *model, c *client) { key := m.key(); m.read(c.GetLive(key), key) }},
	{"Live", func(m *model, c *client) {
		key, value, ttl := m.key(), m.value(), m.ttl()
		_, l := newThing(value)
		m.stored(key, value, ttl, c.SetLive(key, l, ttl).ok())
	}},
}

func (m *model) set(c *client) {
	key, value, ttl := m.key(), m.value(), m.ttl()
	m.stored(key, value, ttl, c.Set(key, value, ttl).ok())
}

func (m *model) ttlOf(c *client) {
	key := m.key()
	o := c.TTL(key)
	if errors.Is(o.err, store.ErrNotFound) {
		o.miss()
		delete(m.entries, key)
		return
	}
	e := m.mayHave(o.ok(), key)
	o.lasts(e.written, e.ttl)
}

// pause lets time pass, where it is real only a few times.
func (m *model) pause(*client) {
	const most = 4
	if m.slept++; m.slept <= most || m.suite.virtual() {
		m.sleep([]time.Duration{m.short() / 4, m.short() / 2, m.short()}[m.pick(3)])
	}
}

func (m *model) getMany(c *client) {
	keys := []string{m.key(), m.key(), m.key()}
	o := c.GetMany(keys...).ok()
	found := o.value.(map[string][]byte)
	for key, value := range found {
		if e := m.mayHave(o, key); string(value) != e.value {
			o.wanted("%s for %s", quote(e.value), quote(key))
		}
	}
	for _, key := range keys {
		if _, ok := found[key]; !ok {
			delete(m.entries, key)
		}
	}
}

func (m *model) setMany(c *client) {
	var items []store.Item
	for range 2 {
		items = append(items, store.Item{Key: m.key(), Value: []byte(m.value()), TTL: m.ttl()})
	}
	o := c.SetMany(items...).ok()
	for _, item := range items {
		m.stored(item.Key, string(item.Value), item.TTL, o)
	}
}

func (m *model) getWithTTL(c *client) {
	key := m.key()
	m.readWithTTL(c.GetWithTTL(key), key)
}

func (m *model) readWithTTL(o *outcome, key string) {
	m.read(o, key)
	if o.err == nil {
		o.lasts(m.entries[key].written, m.entries[key].ttl)
	}
}

func (m *model) getManyWithTTL(c *client) {
	keys := []string{m.key(), m.key(), m.key()}
	o := c.GetManyWithTTL(keys...).ok()
	if len(o.value.(map[string]store.Entry)) > len(keys) {
		o.wanted("at most %d entries", len(keys))
	}
	for _, key := range keys {
		m.readWithTTL(o.of(key), key)
	}
}

func (m *model) add(c *client) {
	key, value, ttl := m.key(), m.value(), m.ttl()
	o := c.Add(key, value, ttl).ok()
	if o.value.(bool) {
		m.stored(key, value, ttl, o)
	} else {
		m.mayHave(o, key)
	}
}

func (m *model) swap(c *client) {
	key, old, value, ttl := m.key(), m.value(), m.value(), m.ttl()
	o := c.CompareAndSwap(key, []byte(old), []byte(value), ttl).ok()
	if m.matched(o, key, old) {
		m.stored(key, value, ttl, o)
	}
}

func (m *model) remove(c *client) {
	key, old := m.key(), m.value()
	if m.matched(c.CompareAndDelete(key, []byte(old)).ok(), key, old) {
		delete(m.entries, key)
	}
}

// matched checks the outcome of a comparison. One that failed although the
// values are the same means that the entry was forgotten.
func (m *model) matched(o *outcome, key, old string) bool {
	if !o.value.(bool) {
		if m.entries[key].value == old {
			delete(m.entries, key)
		}
		return false
	}
	if e := m.mayHave(o, key); e.value != old {
		o.wanted("false: the value is %s", quote(e.value))
	}
	return true
}

func (m *model) touch(c *client) {
	key, ttl := m.key(), m.ttl()
	o := c.Touch(key, ttl)
	if errors.Is(o.err, store.ErrNotFound) {
		o.miss()
		delete(m.entries, key)
		return
	}
	e := m.mayHave(o.ok(), key)
	m.stored(key, e.value, ttl, o)
}

func (m *model) list(c *client) {
	o := c.Keys("", nil).ok()
	listed := make(map[string]bool)
	for _, key := range o.value.([]string) {
		m.mayHave(o, key)
		listed[key] = true
	}
	for key := range m.entries {
		if !listed[key] {
			delete(m.entries, key)
		}
	}
}

func (m *model) clear(c *client) {
	c.Clear().ok()
	clear(m.entries)
}
