#!/usr/bin/env bash
# findings/run-all.sh [NAME…]: runs each find, or those that are named, and ends with "N passed, N failed".
# One that fails is shown with its output; the exit code is 1 then.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
names=("$@")
if [[ ${#names[@]} -eq 0 ]]; then
  for file in *.sh; do
    [[ "$file" == run-all.sh ]] || names+=("${file%.sh}")
  done
fi
passed=0
failed=0
for name in "${names[@]}"; do
  name="${name%.sh}"
  if output="$("./$name.sh" 2>&1)"; then
    echo "passed $name"
    passed=$((passed + 1))
  else
    echo "FAILED $name"
    printf '%s\n' "  ${output//$'\n'/$'\n'  }"
    failed=$((failed + 1))
  fi
done
echo "$passed passed, $failed failed"
[[ "$failed" -eq 0 ]]
