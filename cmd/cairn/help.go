package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
)

var helpCommand = command{
	name:      "help",
	args:      "[COMMAND]",
	summary:   "explain the commands",
	storeless: true,
	define: func(*flag.FlagSet) func(context.Context, *call) error {
		return func(_ context.Context, c *call) error {
			if len(c.args) == 0 {
				return overview(c.stdout)
			}
			name, err := c.one("COMMAND")
			if err != nil {
				return err
			}
			cmd, err := find(name)
			if err != nil {
				return err
			}
			return cmd.help(c.stdout)
		}
	},
}

// helpFor is the command line that helps with the command of this full name.
func helpFor(name string) string {
	return strings.TrimSpace("cairn help" + strings.TrimPrefix(name, "cairn"))
}

// overview lists the commands.
func overview(w io.Writer) error {
	var b strings.Builder
	b.WriteString("cairn looks into any store and measures it.\n\nUsage: cairn COMMAND [FLAGS] [ARGUMENTS]\n\n")
	t := newTable(&b)
	for _, cmd := range commands {
		t.row("  "+cmd.name, cmd.summary)
	}
	t.Flush()
	fmt.Fprintf(&b, `
The store is that of -store URL, of -config FILE and -name NAME, or of
$%s. URLs are as in memory:?max_entries=1000, redis://localhost:6379/0,
memcache://localhost:11211, disk:./cache, or "memory: | redis://localhost".

Exit codes: 0 done or found, 1 error, 2 wrong usage, or a URL whose form or
folder is refused, 3 not found.
More with: cairn help COMMAND
`, urlVariable)
	_, err := io.WriteString(w, b.String())
	return err
}

// help explains one command.
func (cmd *command) help(w io.Writer) error {
	var b strings.Builder
	flags, _ := cmd.flags(new(storeFlags))
	usage := "Usage: cairn " + cmd.name
	n := 0
	flags.VisitAll(func(*flag.Flag) { n++ })
	if n > 0 {
		usage += " [FLAGS]"
	}
	if cmd.args != "" {
		usage += " " + cmd.args
	}
	fmt.Fprintf(&b, "cairn %s: %s\n\n%s\n", cmd.name, cmd.summary, usage)
	if cmd.details != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(cmd.details))
	}
	if n > 0 {
		fmt.Fprintln(&b, "\nFlags:")
		flags.SetOutput(&b)
		flags.PrintDefaults()
	}
	_, err := io.WriteString(w, b.String())
	return err
}
