package testservers

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// patience bounds every wait for a server or a script. It is only reached when
// something is wrong, so it is generous towards a busy machine.
const patience = time.Minute

// watchdog runs a program, prints its process id, sends it the signals named
// on the input, and kills it when the input ends. It is the program's parent,
// so the process id cannot come to mean another process while the program has
// not been waited for. It ends when the program does.
const watchdog = `
trap '' HUP INT QUIT TERM
exec 3<&0
"$@" </dev/null >>log 2>&1 3<&- &
pid=$!
echo "$pid"
{
	while read -r signal; do
		kill -s "$signal" "$pid"
		echo "$signal"
	done
	kill -s KILL "$pid"
} <&3 &
wait "$pid"
status=$?
kill -s KILL $!
wait
exit "$status"
`

// process is a program that runs under a watchdog.
type process struct {
	*shell
	pid int
}

// run starts a program in dir, where its output is appended to the file log.
func run(dir string, command ...string) (*process, error) {
	s, err := startShell(watchdog, dir, command...)
	if err != nil {
		return nil, err
	}
	line, err := s.readLine(patience)
	if err != nil {
		s.close()
		return nil, fmt.Errorf("testservers: %s did not start: %w", command[0], err)
	}
	pid, err := strconv.Atoi(line)
	if err != nil {
		s.close()
		return nil, err
	}
	return &process{s, pid}, nil
}

// signal returns when the signals have been sent, or with an error if the
// process has ended.
func (p *process) signal(names ...string) error {
	for _, name := range names {
		_, err := p.in.WriteString(name + "\n")
		if err == nil {
			_, err = p.readLine(patience)
		}
		if err != nil {
			return fmt.Errorf("testservers: sending %s to process %d: %w", name, p.pid, err)
		}
	}
	return nil
}

// pause returns when every thread has stopped: the kernel stops them one by one
// after the signal was sent, and until then a server with several threads may
// still answer. Where there is no /proc it returns after the signal.
func (p *process) pause() error {
	if err := p.signal("STOP"); err != nil {
		return err
	}
	return poll(patience, func() error {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.pid))
		for _, name := range threads {
			stat, err := os.ReadFile(name)
			if err != nil {
				continue // the thread has ended
			}
			// The name of the program stands in parentheses before the state.
			_, state, _ := strings.Cut(string(stat), ") ")
			if !strings.HasPrefix(state, "T") {
				return fmt.Errorf("testservers: process %d still runs after SIGSTOP", p.pid)
			}
		}
		return nil
	})
}

func (p *process) resume() error { return p.signal("CONT") }

// runToEnd runs a program in a directory of its own until it ends.
func runToEnd(command ...string) error {
	dir, err := newDir(command[0])
	if err != nil {
		return err
	}
	p, err := run(dir, command...)
	if err != nil {
		return err
	}
	p.ended(patience)
	if err := p.close(); err != nil {
		return err
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("testservers: %v ended with code %d\n%s", command, code, logEnd(dir))
	}
	return nil
}

// logEnd returns the end of what the program run in dir has printed.
func logEnd(dir string) []byte {
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	return log[max(0, len(log)-2000):]
}

// poll calls f until it returns nil, and returns its last error if that does
// not happen in time.
func poll(timeout time.Duration, f func() error) error {
	for deadline := time.Now().Add(timeout); ; time.Sleep(5 * time.Millisecond) {
		if err := f(); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}
