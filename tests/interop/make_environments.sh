#!/usr/bin/env bash
# Make a virtual environment for each framework: all versions pinned, torch a CPU build.
#
# usage: make_environments.sh FOLDER [FRAMEWORK ...]      (default: all)
#
# An environment that is there, with the same versions, is kept. PYTHON names the interpreter, 3.11 (default:
# python3.11). TORCH_INDEX names an index that has the CPU build of torch, such as https://download.pytorch.org/whl/cpu, where the default index has a CUDA build.
set -euo pipefail

folder=${1:?usage: make_environments.sh FOLDER [FRAMEWORK ...]}
shift
here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || set -- $(cd "$here/requirements" && ls | sed 's/\.txt$//')

for framework in "$@"; do
    pins=$here/requirements/$framework.txt
    [ -f "$pins" ] || { echo "no framework $framework; known: $(cd "$here/requirements" && ls | sed 's/\.txt//' | tr '\n' ' ')" >&2; exit 2; }
    if cmp -s "$pins" "$folder/$framework/pins.txt"; then continue; fi
    "${PYTHON:-python3.11}" -m venv --clear "$folder/$framework"
    python=$folder/$framework/bin/python
    install() { "$python" -m pip install --quiet --disable-pip-version-check --constraint "$pins" "$@"; }
    if grep -q '^torch==' "$pins"; then install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch; fi
    tools=$(grep -E '^(setuptools-scm|setuptools|wheel)==' "$pins" || true)
    if [ -n "$tools" ]; then install $tools; fi
    # What a framework declares and these scripts do not need stays out; the file says what.
    install --no-deps --no-build-isolation --requirement "$pins"
    if grep -q '^torch==' "$pins"; then
        "$python" -c 'import torch, sys; sys.exit(torch.version.cuda and "a CUDA build of torch; set TORCH_INDEX")'
    fi
    cp "$pins" "$folder/$framework/pins.txt"
    echo "$framework: $python"
done
