package cairn_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cairncache/cairn/internal/testreport"
)

// The README's table of adapters and abilities is what the conformance suite
// has reported. With CAIRN_UPDATE in the environment it is written anew.
func TestReadmeTable(t *testing.T) {
	const begin, end = "<!-- abilities: made by readme_test.go -->\n", "<!-- end of abilities -->\n"
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(b), begin)
	table, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("README.md lacks %q or %q", begin, end)
	}
	want := abilityTable(t)
	if table == want {
		return
	}
	if os.Getenv("CAIRN_UPDATE") == "" {
		t.Fatalf("the table in README.md is not what the adapters' reports say; run this test with CAIRN_UPDATE=1. It should be:\n%s", want)
	}
	if err := os.WriteFile("README.md", []byte(head+begin+want+end+tail), 0o666); err != nil {
		t.Fatal(err)
	}
}

func abilityTable(t *testing.T) string {
	t.Helper()
	adapters := []string{"memory", "disk", "redis", "memcache"}
	found, err := filepath.Glob("adapters/*")
	if err != nil || len(found) != len(adapters)+2 { // null remembers nothing, so there is nothing to prove; layered can what its L2 can
		t.Fatalf("the table has %q, but there are %q (%v)", adapters, found, err)
	}
	summaries := make([]testreport.Summary, len(adapters))
	var abilities []string
	for i, name := range adapters {
		b, err := os.ReadFile(filepath.Join("adapters", name, testreport.File))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &summaries[i]); err != nil {
			t.Fatal(err)
		}
		for _, a := range summaries[i].Abilities {
			if !slices.Contains(abilities, a) {
				abilities = append(abilities, a)
			}
		}
	}
	slices.Sort(abilities)

	var table strings.Builder
	row := func(first string, cell func(testreport.Summary) string) {
		fmt.Fprintf(&table, "| %s |", first)
		for _, s := range summaries {
			fmt.Fprintf(&table, " %s |", cell(s))
		}
		table.WriteByte('\n')
	}
	fmt.Fprintf(&table, "| | %s |\n|---|%s\n", strings.Join(adapters, " | "), strings.Repeat(":-:|", len(adapters)))
	row("Get, Set, Delete, TTL", func(testreport.Summary) string { return "✓" })
	for _, a := range abilities {
		row(a, func(s testreport.Summary) string {
			if slices.Contains(s.Abilities, a) {
				return "✓"
			}
			return ""
		})
	}
	row("expiry is exact to", func(s testreport.Summary) string { return s.TTLStep.String() })
	row("conformance cases passed", func(s testreport.Summary) string { return fmt.Sprint(s.Passed) })
	row("not applicable or skipped", func(s testreport.Summary) string { return fmt.Sprint(len(s.Skipped)) })
	return table.String()
}
