package memo

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/cairncache/cairn/store"
)

// InvalidateTags makes all entries invalid that carry one of the tags, by
// [Tag], [FuncOptions].Tags or [Call].Tags, whichever process has stored them:
// those of all Memos with this Options.Namespace, whether or not their
// functions are wrapped here, in the stores that this Memo knows. When it has returned nil, no call that begins then,
// in whichever process, returns a value that carries one of them and whose load
// began before InvalidateTags was called. It takes one write for each tag and
// one more, to each store, however many entries there are. An entry with tags
// costs its readers a second round trip, for the versions of its tags, and so
// it does those who join its load.
//
// An error is ErrInvalid, that of a store, or matches ctx.Err(); some of the
// entries may then still be valid.
func (m *Memo) InvalidateTags(ctx context.Context, names ...string) error {
	const op = "invalidatetags"
	if err := m.check(ctx, op); err != nil {
		return err
	}
	if len(names) == 0 {
		return nil
	}
	if slices.Contains(names, "") {
		return &Error{op, "", "", invalid("a tag is empty; name it or leave it out")}
	}
	sites, err := m.sites()
	if err != nil {
		return &Error{op, "", "", err}
	}
	m.tagSeq.Add(1)
	defer m.tagSeq.Add(1)
	errs := make([]error, len(sites))
	var wg sync.WaitGroup
	for i, at := range sites {
		wg.Go(func() { errs[i] = m.invalidateTags(ctx, at, names) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		m.reportStore(ctx, m.counters, "", op, err)
		return &Error{op, "", "", err}
	}
	return nil
}

// invalidateTags stores a new version of each tag. The moment comes first:
// who reads a version that is new already then also reads that moment.
func (m *Memo) invalidateTags(ctx context.Context, s store.Store, names []string) error {
	if err := s.Set(ctx, m.momentKey(), newVersion().text(), store.Forever); err != nil {
		return err
	}
	items := make([]store.Item, len(names))
	for i, name := range names {
		items[i] = store.Item{Key: m.tagKey(name), Value: newVersion().text(), TTL: store.Forever}
	}
	return store.SetMany(ctx, s, items)
}

func (m *Memo) tagKey(name string) string {
	return m.tags.raw(name)
}

func (m *Memo) tagKeys(names []string) []string {
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = m.tagKey(name)
	}
	return keys
}

// momentKey is the key of a version that changes with every InvalidateTags. A
// load that names a tag only after it has read what the tag stands for cannot
// know which version of the tag that belonged to, unless no tag at all was
// invalidated since the load began.
func (m *Memo) momentKey() string { return m.tags.prefix + "#" }

// tagsNow returns the tags with their present versions.
func (m *Memo) tagsNow(ctx context.Context, s store.Store, names []string) ([]tag, error) {
	if len(names) == 0 {
		return nil, nil
	}
	names = slices.Clone(names)
	slices.Sort(names)
	names = slices.Compact(names)
	versions, err := ensureVersions(ctx, s, m.tagKeys(names))
	if err != nil {
		return nil, err
	}
	tags := make([]tag, len(names))
	for i, name := range names {
		tags[i] = tag{name, versions[i]}
	}
	return tags, nil
}

// moment returns the version that changes with every InvalidateTags.
func (m *Memo) moment(ctx context.Context, s store.Store) (version, error) {
	versions, err := ensureVersions(ctx, s, []string{m.momentKey()})
	if err != nil {
		return 0, err
	}
	return versions[0], nil
}

// unversioned returns the tags in a form that is never valid: their versions
// are not known, or are those of something newer than what carries them.
func unversioned(names []string) []tag {
	tags := make([]tag, len(names))
	for i, name := range names {
		tags[i] = tag{name: name}
	}
	return tags
}

// tagVersions returns the present versions of tags, 0 for those that have
// none.
func (m *Memo) tagVersions(ctx context.Context, s store.Store, names []string) (map[string]version, error) {
	slices.Sort(names)
	names = slices.Compact(names)
	versions, err := readVersions(ctx, s, m.tagKeys(names))
	if err != nil {
		return nil, err
	}
	of := make(map[string]version, len(names))
	for i, name := range names {
		of[name] = versions[i]
	}
	return of, nil
}
