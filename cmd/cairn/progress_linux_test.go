package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"unsafe"
)

func ioctl(t *testing.T, f *os.File, request uintptr, arg unsafe.Pointer) {
	t.Helper()
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), request, uintptr(arg)); errno != 0 {
		t.Fatal(errno)
	}
}

// openTerminal opens a pseudo-terminal of that width: screen is what the user
// sees of it.
func openTerminal(t *testing.T, width uint16) (screen, terminal *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there are no pseudo-terminals here: ", err)
	}
	t.Cleanup(func() { screen.Close() })
	var number, locked int32
	ioctl(t, screen, syscall.TIOCGPTN, unsafe.Pointer(&number))
	ioctl(t, screen, syscall.TIOCSPTLCK, unsafe.Pointer(&locked))
	terminal, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	ioctl(t, terminal, syscall.TIOCSWINSZ, unsafe.Pointer(&[4]uint16{24, width}))
	return screen, terminal
}

func TestTerminal(t *testing.T) {
	for args, wants := range map[string][]string{
		"bench -duration=300ms -keys=100": {" of 300ms  ", " calls/s  mem", "█", "\nerrors "},
		"conform -timeout=2s":             {" cases  ", "\nabilities: "},
	} {
		t.Run(strings.Fields(args)[0], func(t *testing.T) {
			t.Parallel()
			screen, terminal := openTerminal(t, 40)
			p := exec.CommandContext(t.Context(), os.Args[0], append(strings.Fields(args), "-store", "memory:")...)
			p.Env = append(os.Environ(), programVariable+"=1", "TERM=xterm")
			p.Stdout, p.Stderr = terminal, terminal
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			seen := make(chan []byte)
			go func() {
				var b bytes.Buffer
				b.ReadFrom(screen) // until the last one has closed the terminal
				seen <- b.Bytes()
			}()
			p.Wait()
			terminal.Close()
			text := strings.ReplaceAll(string(<-seen), "\r\n", "\n")
			for _, want := range wants {
				if !strings.Contains(text, want) {
					t.Errorf("no %q in %q", want, text)
				}
			}
			shown := strings.Split(text, "\r")
			for _, line := range shown[1 : len(shown)-1] {
				line, ended := strings.CutSuffix(line, "\x1b[K")
				if n := len([]rune(line)); n >= 40 || !ended {
					t.Errorf("the progress is %d columns wide: %q", n, line)
				}
			}
		})
	}
}
