package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// complete runs the script in a shell with the words of a command line, of
// which the last is being written, and returns what is offered.
func complete(t *testing.T, shell, driver string, words ...string) []string {
	t.Helper()
	path, err := exec.LookPath(shell)
	if err != nil && os.Getenv("CAIRN_TEST_SERVERS") == "required" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skipf("%s is not installed; make servers installs it", shell)
	}
	file := filepath.Join(t.TempDir(), "completion")
	if err := os.WriteFile(file, []byte(cairn(t, "", "", "completion", shell).stdout), 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, append([]string{"-c", driver, file}, words...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.Fields(string(out))
}

// Each driver does what the shell does when the tab key is pressed.
var drivers = map[string]string{
	"bash": `set -eu
		source "$0"
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
		[[ $(complete -p cairn) == *' -o default -F _cairn cairn' ]]
		_cairn || true
		printf '%s\n' ${COMPREPLY[@]+"${COMPREPLY[@]}"}`,
	"zsh": `set -e
		compdef() { [[ "$*" = "_cairn cairn" ]] }
		compadd() { [[ $1 = -- ]]; shift; print -l -- ${(M)@:#$words[CURRENT]*} }
		_files() { }
		source "$0"
		words=("$@") CURRENT=$#
		_cairn`,
}

func TestCompletion(t *testing.T) {
	var all []string
	for _, cmd := range commands {
		all = append(all, cmd.name)
	}
	for shell, driver := range drivers {
		t.Run(shell, func(t *testing.T) {
			for _, test := range []struct {
				line string // from cairn on
				want []string
			}{
				{"cairn ", all},
				{"cairn help ", all},
				{"cairn ge", []string{"get"}},
				{"cairn keys -", []string{"-0", "-config", "-glob", "-json", "-limit", "-name", "-prefix", "-store"}},
				{"cairn keys -prefix x -gl", []string{"-glob"}},
				{"cairn completion ", []string{"bash", "zsh"}},
				{"cairn decode -", []string{"-json", "-max"}},
				{"cairn conform -format m", []string{"markdown"}},
				{"cairn conform -format ", []string{"text", "markdown", "json"}},
				{"cairn nonsense -", nil},
				{"cairn decode ", nil}, // files
				{"cairn get -config ", nil},
				{"cairn get -config c", nil},
			} {
				if got := complete(t, shell, driver, strings.Split(test.line, " ")...); !slices.Equal(got, test.want) {
					t.Errorf("%q: offered %q, want %q", test.line, got, test.want)
				}
			}
		})
	}
}
