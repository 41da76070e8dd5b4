# shellcheck shell=bash
# The scripts that fill in a Kubernetes manifest source this file.

# ${ and $( are literal text here.
# shellcheck disable=SC2016

# yaml TEXT: prints the text as a YAML string in double quotes. Kubernetes does
# not expand variables in it.
yaml() {
  local text=${1//\\/\\\\}
  text=${text//\"/\\\"}
  [[ $text != *[[:cntrl:]]* ]] ||
    fail "the flag $(printf %q "$1") has a control character; remove it"
  text=${text//'$('/'$$('}
  printf '"%s"' "$text"
}

# arguments COLUMN TEXT...: prints texts as items of a YAML list, one a line. All
# lines but the first are indented.
arguments() {
  local column=$1 indent='' item
  shift
  for item in "$@"; do
    item=$(yaml "$item") || exit 1
    printf '%s- %s' "$indent" "$item"
    printf -v indent '\n%*s' "$column" ''
  done
}

# manifest FILE: prints a manifest with all settings in place of ${...}. Lines
# that become empty are removed.
manifest() {
  local line name filled
  while IFS= read -r line; do
    filled=
    while [[ $line == *'${'* ]]; do
      name=${line#*'${'}
      name=${name%%'}'*}
      filled=$filled${line%%'${'*}${!name}
      line=${line#*'}'}
    done
    filled=$filled$line
    [[ $filled =~ ^\ *$ ]] || printf '%s\n' "$filled"
  done < <(grep -v "^#" "$1")
}
