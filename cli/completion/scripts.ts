/*
 * The scripts hand what was typed to `berth __complete` as it is, a word an argument, and take its lines as words: nothing
 * that was typed is ever read by the shell again. `berth` offers only words that mean nothing to a shell.
 */

export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/** Without bash-completion. `COMP_WORDS` holds the words as they were typed, quotes and all. */
const BASH = `# berth's completion for bash: source <(berth completion bash)
_berth() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    COMPREPLY+=("\${line%%$'\\t'*}")
  done < <(berth __complete "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _berth berth
`;

const ZSH = `#compdef berth
# berth's completion for zsh: source <(berth completion zsh), after compinit
_berth() {
  local line
  local -a found
  while IFS= read -r line; do
    found+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done < <(berth __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)
  if (( \${#found} )); then _describe berth found; else _files; fi
}
compdef _berth berth
`;

const FISH = `# berth's completion for fish: berth completion fish | source
function __berth_complete
  set -l typed (commandline -opc)
  set -l found (berth __complete $typed[2..-1] (commandline -ct) 2>/dev/null)
  if set -q found[1]
    printf '%s\\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c berth -f -a '(__berth_complete)'
`;

export const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH };
