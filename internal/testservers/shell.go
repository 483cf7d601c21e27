package testservers

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// shell is a running sh script that outlives the test binary by a moment. Its
// standard input is a pipe whose other end only the test binary holds: when
// that ends, even by SIGKILL, the script reads the end of its input and cleans
// up. No goroutine serves it, so that a test which counts goroutines is not
// disturbed.
type shell struct {
	cmd   *exec.Cmd
	in    *os.File
	out   *os.File
	lines *bufio.Reader // over out
}

func startShell(script, dir string, args ...string) (*shell, error) {
	stdin, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	out, stdout, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, err
	}
	defer stdout.Close()
	cmd := exec.Command("sh", append([]string{"-c", script, "testservers"}, args...)...)
	cmd.Dir, cmd.Stdin, cmd.Stdout = dir, stdin, stdout
	if err := cmd.Start(); err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	return &shell{cmd: cmd, in: in, out: out, lines: bufio.NewReader(out)}, nil
}

// readLine returns the next line of the script's output, io.EOF once the script
// has ended, or os.ErrDeadlineExceeded.
func (s *shell) readLine(timeout time.Duration) (string, error) {
	s.out.SetReadDeadline(time.Now().Add(timeout))
	line, err := s.lines.ReadString('\n')
	return strings.TrimSuffix(line, "\n"), err
}

// ended waits for the script to end by itself and reports whether it has within
// the timeout.
func (s *shell) ended(timeout time.Duration) bool {
	s.out.SetReadDeadline(time.Now().Add(timeout))
	_, err := io.Copy(io.Discard, s.lines)
	return err == nil
}

// close makes the script clean up and waits until it has.
func (s *shell) close() error {
	s.in.Close()
	if !s.ended(patience) {
		return errors.New("testservers: the watchdog shell did not end")
	}
	s.out.Close()
	s.cmd.Wait() // the exit status is in s.cmd.ProcessState
	return nil
}

// janitor makes the directory that holds all others, and removes it at the end.
// A server that is being killed meanwhile may still write into it: try again.
const janitor = `
trap '' HUP INT QUIT TERM
dir=$(mktemp -d "$1/cairn.XXXXXX") || exit
echo "$dir"
read -r line
tries=0
until rm -rf "$dir" || [ "$((tries += 1))" -ge 10 ]; do sleep 1; done
`

var root = sync.OnceValues(func() (string, error) {
	base, err := filepath.Abs(os.TempDir())
	if err != nil {
		return "", err
	}
	j, err := startShell(janitor, "", base)
	if err != nil {
		return "", err
	}
	path, err := j.readLine(patience)
	if err != nil {
		j.close()
		return "", fmt.Errorf("testservers: cannot make a directory in %s", base)
	}
	atExit(j.close)
	return path, nil
})

// newDir makes a directory that is removed when the test binary ends.
func newDir(name string) (string, error) {
	r, err := root()
	if err != nil {
		return "", err
	}
	return os.MkdirTemp(r, name+"-")
}
