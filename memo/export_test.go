package memo

// LeaseLife is how long a lease lasts that is not renewed.
const LeaseLife = leaseLife

// WithoutLeases lets m load as over a store that has none.
func (m *Memo) WithoutLeases() { m.leaseless = true }
