package store

// Wrapper is a Store that forwards to another one, such as the result of
// [Prefix]. It implements the extension interfaces that it can forward,
// through the functions of this package, so that it neither hides an ability
// of the store below nor invents one.
type Wrapper interface {
	Store
	Unwrap() Store
}

// Supports reports whether s has the ability T itself, not by a fallback:
//
//	if store.Supports[store.AddStore](s) { … }
//
// It asks through wrappers: a wrapper supports what both it and the store that
// it wraps support.
//
// A Store that has the method may still decline at the call, with an error
// matching errors.ErrUnsupported, as layers over a store without the ability do.
// So call the function of the method's name, which goes on as if the method
// were absent, and be ready for that error where there is no way without it.
func Supports[T Store](s Store) bool {
	for s != nil {
		if _, ok := s.(T); !ok {
			return false
		}
		w, ok := s.(Wrapper)
		if !ok {
			return true
		}
		s = w.Unwrap()
	}
	return false
}

// base returns the store below all wrappers.
func base(s Store) Store {
	for {
		w, ok := s.(Wrapper)
		if !ok {
			return s
		}
		s = w.Unwrap()
	}
}
