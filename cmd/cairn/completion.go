package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
)

var completionCommand = command{
	name:      "completion",
	args:      "bash|zsh",
	summary:   "print a script that completes commands and flags",
	storeless: true,
	details: `
For bash, in ~/.bashrc:  source <(cairn completion bash)
For zsh, in ~/.zshrc:    source <(cairn completion zsh)`,
	define: func(*flag.FlagSet) func(context.Context, *call) error {
		return func(_ context.Context, c *call) error {
			shell, err := c.one("bash or zsh")
			if err != nil {
				return err
			}
			switch shell {
			case "bash":
				return writeCompletion(c.stdout, bashCompletion)
			case "zsh":
				return writeCompletion(c.stdout, zshCompletion)
			}
			return usagef("unknown shell %q%s", shell, didYouMean(shell, []string{"bash", "zsh"}))
		}
	},
}

// The scripts have the lists of writeCompletion in place of COMMANDS and CASES.
// Flags are offered behind a - alone: what is no flag is completed as the name
// of a file.
const (
	bashCompletion = `_cairn() {
	local candidates='' word=${COMP_WORDS[COMP_CWORD]}
	if [ "$COMP_CWORD" -eq 1 ]; then
		candidates='COMMANDS'
	else
		case ${COMP_WORDS[1]} in
CASES		esac
		if [[ $candidates = -* && $word != -* ]]; then
			candidates=''
		fi
		if [ "${COMP_WORDS[COMP_CWORD-1]}" = -format ]; then
			candidates='text markdown json'
		fi
	fi
	COMPREPLY=($(compgen -W "$candidates" -- "$word"))
}
complete -o default -F _cairn cairn
`
	zshCompletion = `#compdef cairn
_cairn() {
	local candidates=''
	if (( CURRENT == 2 )); then
		candidates='COMMANDS'
	else
		case $words[2] in
CASES		esac
		if [[ $candidates = -* && $words[CURRENT] != -* ]]; then
			candidates=''
		fi
		if [[ $words[CURRENT-1] = -format ]]; then
			candidates='text markdown json'
		fi
	fi
	compadd -- ${=candidates} || _files
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _cairn cairn
`
)

// writeCompletion fills in the commands, and the flags of each, or what stands
// for them.
func writeCompletion(w io.Writer, script string) error {
	var names []string
	var cases strings.Builder
	for _, cmd := range commands {
		names = append(names, cmd.name)
	}
	for _, cmd := range commands {
		var words []string
		switch flags, _ := cmd.flags(new(storeFlags)); cmd.name {
		case "help":
			words = names
		case "completion":
			words = []string{"bash", "zsh"}
		default:
			flags.VisitAll(func(f *flag.Flag) { words = append(words, "-"+f.Name) })
		}
		fmt.Fprintf(&cases, "\t\t%s) candidates='%s' ;;\n", cmd.name, strings.Join(words, " "))
	}
	script = strings.ReplaceAll(script, "COMMANDS", strings.Join(names, " "))
	script = strings.ReplaceAll(script, "CASES", cases.String())
	_, err := io.WriteString(w, script)
	return err
}
