// Command cairn looks into any store and measures it, from the shell:
//
//	export CACHE_URL='redis://localhost:6379/0?prefix=app:'
//	cairn keys -glob 'user:*' -limit 10
//	cairn explain user:42
//	cairn get user:42 | cairn decode
//
// cairn help lists the commands, and cairn help COMMAND explains one. The store
// is that of the flag -store, of -config and -name, or of $CACHE_URL.
//
// What a command has found is on stdout, an error is one line on stderr, without
// passwords. The exit code is 0 if all is well, 1 after an error, 2 if the
// command line is wrong or the form or folder of a URL is refused, and 3 if
// there is no such entry.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9/logging"

	_ "github.com/cairncache/cairn/adapters/disk"
	_ "github.com/cairncache/cairn/adapters/layered"
	_ "github.com/cairncache/cairn/adapters/memcache"
	_ "github.com/cairncache/cairn/adapters/memory"
	_ "github.com/cairncache/cairn/adapters/null"
	_ "github.com/cairncache/cairn/adapters/redis"
	"github.com/cairncache/cairn/internal/suggest"
	"github.com/cairncache/cairn/store"
)

// The exit codes.
const (
	exitOK       = 0
	exitError    = 1
	exitUsage    = 2
	exitNotFound = 3
)

// A command is one subcommand. Each is in a file of its name.
type command struct {
	name    string
	args    string // as in the usage, such as KEY
	summary string // one line, without a full stop
	details string // for help, in lines of at most 80 columns; may be empty

	// storeless is a command that opens no store and so takes no -store,
	// -config and -name.
	storeless bool

	// makes is a command that may make the folder of a store on disk. The
	// others refuse one that is not there.
	makes bool

	// define defines the command's own flags and returns what it does. Flags
	// may stand before, between and after the arguments; what follows -- is
	// arguments alone.
	define func(flags *flag.FlagSet) func(ctx context.Context, c *call) error
}

// A call is one run of a command.
type call struct {
	args           []string // without the flags
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string

	storeFlags
	makes  bool        // as in the command
	opened []io.Closer // closed when the command has returned
}

// A usageError is a mistake on the command line: exit code 2.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// commands are all of them, in the order of help.
var commands []command

func init() {
	logging.Disable() // what the client of Redis would print is in the errors too

	// Not where it is declared, as help refers to it.
	commands = []command{
		getCommand,
		setCommand,
		delCommand,
		ttlCommand,
		keysCommand,
		statsCommand,
		pingCommand,
		explainCommand,
		decodeCommand,
		conformCommand,
		benchCommand,
		completionCommand,
		helpCommand,
	}
}

func main() {
	signal.Ignore(syscall.SIGPIPE) // which would end a command before it has deleted what it must
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(exitError) // what the first one has not ended
	}()
	var stdout io.Writer = os.Stdout
	if terminal := terminalOf(os.Stdout); terminal != nil {
		stdout = &screen{terminal: terminal}
	}
	code := run(ctx, os.Args[1:], os.Stdin, stdout, os.Stderr, os.Getenv)
	if c, ok := stdout.(*screen); ok {
		c.Close()
	}
	os.Exit(code)
}

// run is the program. It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	name, err := "cairn", error(nil)
	if len(args) == 0 {
		overview(stderr)
		return exitUsage
	}
	cmd, err := find(args[0])
	if err == nil {
		name += " " + cmd.name
		err = cmd.run(ctx, args[1:], &call{stdin: stdin, stdout: stdout, stderr: stderr, getenv: getenv})
	}
	if err == nil {
		return exitOK
	}
	if err = said(ctx, err); err == nil {
		return exitError
	}
	var usage usageError
	code := exitError
	switch {
	case errors.As(err, &usage):
		code = exitUsage
		err = fmt.Errorf("%w; see %s", err, helpFor(name))
	case errors.Is(err, store.ErrNotFound):
		code = exitNotFound
	}
	fmt.Fprintf(stderr, "%s: %s\n", name, oneLine(err, name, args))
	return code
}

var errInterrupted = errors.New("interrupted")

// said is what the user is told of err: "interrupted" in place of what is only
// that, and nothing of an output that nobody reads, as after | head.
func said(ctx context.Context, err error) error {
	var told []error
	interrupted := false
	for _, part := range split(err) {
		var path *fs.PathError
		switch {
		case errors.As(part, &path) && path.Op == "write" && errors.Is(part, syscall.EPIPE):
		case ctx.Err() != nil && errors.Is(part, context.Canceled):
			interrupted = true
		default:
			told = append(told, part)
		}
	}
	if interrupted {
		told = append([]error{errInterrupted}, told...)
	}
	return errors.Join(told...)
}

// split returns the errors that were joined to err.
func split(err error) (all []error) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || err.Error() != fmt.Sprint(errors.Join(joined.Unwrap()...)) {
		return []error{err}
	}
	for _, e := range joined.Unwrap() {
		all = append(all, split(e)...)
	}
	return all
}

// find returns the command of that name.
func find(name string) (*command, error) {
	switch name {
	case "-h", "-help", "--help":
		name = "help"
	}
	if i := slices.IndexFunc(commands, func(c command) bool { return c.name == name }); i >= 0 {
		return &commands[i], nil
	}
	if strings.HasPrefix(name, "-") {
		return nil, usagef("the command comes first, and %s after it", name)
	}
	names := make([]string, len(commands))
	for i, c := range commands {
		names[i] = c.name
	}
	return nil, usagef("unknown command %q%s", name, didYouMean(name, names))
}

// run parses the flags and runs the command.
func (cmd *command) run(ctx context.Context, args []string, c *call) error {
	flags, do := cmd.flags(&c.storeFlags)
	rest, err := parse(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		return cmd.help(c.stdout)
	}
	if err != nil {
		return err
	}
	c.args, c.makes = rest, cmd.makes
	err = do(ctx, c)
	for _, s := range slices.Backward(c.opened) {
		err = errors.Join(err, s.Close())
	}
	return err
}

// didYouMean is for the end of an error.
func didYouMean(word string, words []string) string {
	if hint := suggest.DidYouMean(word, words); hint != "" {
		return " (" + strings.TrimSpace(hint) + ")"
	}
	return ""
}

// oneLine is the text of an error without line ends and what the name of the
// command says already, and without the secrets of URLs that were given as
// arguments: stores and the package flag quote what they do not understand.
func oneLine(err error, name string, args []string) string {
	text := strings.TrimPrefix(err.Error(), "store: ")
	op := strings.TrimPrefix(name, "cairn ")
	text = strings.TrimPrefix(strings.TrimPrefix(text, op+": "), op+" ")
	for _, arg := range args {
		flag, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		for _, secret := range []string{arg, value, flag} {
			if strings.Contains(secret, "://") || strings.Contains(secret, "@") {
				redacted := store.RedactURL(secret)
				text = strings.ReplaceAll(text, secret, redacted)
				text = strings.ReplaceAll(text, inside(strconv.Quote(secret)), inside(strconv.Quote(redacted)))
			}
		}
	}
	return visible(strings.ReplaceAll(text, "\n", "; "))
}

// inside is quoted text without its quotes.
func inside(quoted string) string { return quoted[1 : len(quoted)-1] }
