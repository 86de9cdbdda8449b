# For the finds beside it, which source it first: a temporary folder that is removed at the end, pinned packages in it,
# and the comparison of what was seen with the output that stands at the top of the find.
# shellcheck shell=bash
set -euo pipefail
find_script="$(realpath "$0")"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# install PACKAGE@VERSION…: into the folder. Their commands, and Node where it is one of them, come first on the PATH.
install() {
  echo '{"private":true,"type":"module"}' >package.json
  npm install --silent --no-audit --no-fund --no-save "$@" >&2
  export PATH="$folder/node_modules/.bin:$PATH"
}

# expect_seen TEXT: prints what was seen; fails unless it is the output at the top of the find (its lines that begin with
# a number sign and three blanks, after the one that begins with "# Output").
expect_seen() {
  local stated
  stated="$(sed -n '/^# Output/,/^[^#]/s/^#   //p' "$find_script")"
  echo "$1"
  if [[ "$1" != "$stated" ]]; then
    echo 'This is not what stands at the top of the find any more:'
    diff <(echo "$stated") <(echo "$1") || true
    return 1
  fi
}
