package testservers

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// answerTime bounds one attempt to ask who answers at a port. A server that
// must answer gets patience.
const answerTime = time.Second

// askRedis sends commands, each a line of words, and returns the last reply as
// text: the elements of an array follow one another, each on lines of its own.
// An error reply is an error.
func askRedis(conn net.Conn, timeout time.Duration, commands ...string) (reply string, err error) {
	conn.SetDeadline(time.Now().Add(timeout))
	r := bufio.NewReader(conn)
	for _, command := range commands {
		if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
			return "", err
		}
		if reply, err = readReply(r); err != nil {
			return "", err
		}
	}
	return reply, nil
}

func readReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSpace(line)
	if line == "" {
		return "", errors.New("an empty reply")
	}
	text := line[1:]
	switch line[0] {
	case '-':
		return "", errors.New(text)
	case '$':
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return "", err
		}
		bulk := make([]byte, n+len("\r\n"))
		_, err = io.ReadFull(r, bulk)
		return string(bulk[:n]), err
	case '*':
		n, err := strconv.Atoi(text)
		var all strings.Builder
		for range n {
			element, err := readReply(r)
			if err != nil {
				return "", err
			}
			all.WriteString(element + "\n")
		}
		return all.String(), err
	}
	return text, nil
}

// askMemcached returns the reply to the command stats.
func askMemcached(conn net.Conn) (string, error) {
	conn.SetDeadline(time.Now().Add(answerTime))
	if _, err := io.WriteString(conn, "stats\r\n"); err != nil {
		return "", err
	}
	var reply strings.Builder
	for r := bufio.NewReader(conn); ; {
		line, err := r.ReadString('\n')
		if err != nil || line == "END\r\n" {
			return reply.String(), err
		}
		if !strings.HasPrefix(line, "STAT ") {
			return "", errors.New(line)
		}
		reply.WriteString(line)
	}
}

// pidIn returns the number that follows name on a line of its own.
func pidIn(reply, name string) (int, error) {
	for line := range strings.Lines(reply) {
		if pid, ok := strings.CutPrefix(line, name); ok {
			return strconv.Atoi(strings.TrimSpace(pid))
		}
	}
	return 0, fmt.Errorf("no %q in the answer", name)
}

// says waits until a Redis at addr answers a command with a reply that holds
// every one of the texts.
func says(addr, command string, texts ...string) error {
	return poll(patience, func() error {
		reply, err := tell(addr, command)
		if err != nil {
			return err
		}
		for _, text := range texts {
			if !strings.Contains(reply, text) {
				return fmt.Errorf("testservers: %s answers %s without %q:\n%s", addr, command, text, reply)
			}
		}
		return nil
	})
}

// tell sends commands to a Redis at addr and returns the last reply.
func tell(addr string, commands ...string) (string, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	return askRedis(conn, patience, commands...)
}
