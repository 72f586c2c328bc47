#!/usr/bin/env bash
# Run the tests on each supported interpreter that is found, one environment at a time.
#
# usage: test_matrix.sh [TORCH_INDEX] [PYTEST ARGUMENT...]
#
# An environment .venv-3.X that exists is used and kept, and so is .venv where it has that version; others
# are made and removed again (KEEP_ENVS=1 keeps them).
set -euo pipefail

torch_index=${1:-}
shift || true
cd "$(dirname "$0")/.."

runs() { "$1" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$2')" > /dev/null 2>&1; }

# The interpreter called python3.X, or one that pyenv keeps without having it on the path.
find_python() {
    local candidate root
    if runs "python$1" "$1"; then echo "python$1"; return 0; fi
    if runs python3 "$1"; then echo python3; return 0; fi
    root=$(pyenv root 2>/dev/null) || return 1
    for candidate in "$root"/versions/"$1".*/bin/python; do
        if runs "$candidate" "$1"; then echo "$candidate"; return 0; fi
    done
    return 1
}

results=()
failed=0
tested=0
for version in 3.10 3.11 3.12 3.13; do
    python=$(find_python "$version") || { results+=("$version not found"); continue; }
    venv=.venv-$version
    remove=
    if runs .venv/bin/python "$version"; then
        venv=.venv
    elif [ ! -e "$venv" ] && [ -z "${KEEP_ENVS:-}" ]; then
        remove=yes
    fi
    echo "== Python $version in $venv"
    tested=$((tested + 1))
    if scripts/setup_env.sh "$venv" "$python" "$torch_index" && "$venv/bin/python" -m pytest "$@"; then
        results+=("$version passed")
    else
        results+=("$version FAILED")
        failed=1
    fi
    if [ -n "$remove" ]; then rm -rf "$venv"; fi
done

printf '== Python %s\n' "${results[@]}"
if [ "$tested" -eq 0 ]; then
    echo "test-matrix: no Python from 3.10 to 3.13 found" >&2
    exit 1
fi
exit "$failed"
