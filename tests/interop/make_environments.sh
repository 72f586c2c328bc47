#!/usr/bin/env bash
# Make a virtual environment for each framework: all versions pinned, torch a CPU build.
#
# usage: make_environments.sh FOLDER [FRAMEWORK ...]      (default: snntorch sinabs spikingjelly norse)
#
# PYTHON names the interpreter, 3.11 (default: python3.11). TORCH_INDEX names an index that has the CPU build of
# torch, such as https://download.pytorch.org/whl/cpu, where the default index has a CUDA build.
set -euo pipefail

folder=${1:?usage: make_environments.sh FOLDER [FRAMEWORK ...]}
shift
here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || set -- snntorch sinabs spikingjelly norse

for framework in "$@"; do
    pins=$here/requirements/$framework.txt
    [ -f "$pins" ] || { echo "no framework $framework; known: $(cd "$here/requirements" && ls | sed 's/\.txt//' | tr '\n' ' ')" >&2; exit 2; }
    "${PYTHON:-python3.11}" -m venv --clear "$folder/$framework"
    python=$folder/$framework/bin/python
    install() { "$python" -m pip install --quiet --disable-pip-version-check --constraint "$pins" "$@"; }
    install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch
    tools=$(grep -E '^(setuptools-scm|setuptools|wheel)==' "$pins" || true)
    if [ -n "$tools" ]; then install $tools; fi
    # What a framework declares and these scripts do not need stays out; the file says what.
    install --no-deps --no-build-isolation --requirement "$pins"
    "$python" -c 'import torch, sys; sys.exit(torch.version.cuda and "a CUDA build of torch; set TORCH_INDEX")'
    echo "$framework: $python"
done
