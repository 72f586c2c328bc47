#!/usr/bin/env bash
# Make or update a virtual environment with this project, its tests and Lava: all versions pinned.
#
# usage: setup_env.sh VENV PYTHON [TORCH_INDEX]
#
# Does nothing when the environment is up to date. It is made anew when PYTHON has another version, or
# TORCH_INDEX (the package index to take torch from: a CPU or CUDA build) is given and has changed. Without it
# torch is a CPU build where their index can be reached; "default" takes it from where all else comes from.
set -euo pipefail

venv=$1
python=$2
torch_index=${3:-}
cd "$(dirname "$0")/.."

fail() { echo "setup: $1" >&2; exit 2; }

cpu_index=https://download.pytorch.org/whl/cpu
reached='import sys, urllib.request; urllib.request.urlopen(sys.argv[1] + "/torch/", timeout=5)'

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

version=$(version_of "$python") || fail "$python does not run; choose an interpreter with PYTHON=python3.11"
case $version in
    3.10 | 3.11 | 3.12 | 3.13) ;;
    *) fail "$python is Python $version, supported are 3.10 to 3.13; choose one with PYTHON=python3.11" ;;
esac

stamp=$venv/.sne-setup
old_index=
old_sources=
if [ -f "$stamp" ]; then
    { read -r old_index; read -r old_sources; } < "$stamp" || true
fi
torch_index=${torch_index:-$old_index}
sources=$({ pwd; cat pyproject.toml constraints.txt scripts/setup_env.sh; } | cksum)
venv_version=$(version_of "$venv/bin/python" || true)

clear=--clear
if [ "$venv_version" = "$version" ] && [ "$old_index" = "$torch_index" ]; then
    if [ "$old_sources" = "$sources" ]; then exit 0; fi
    clear=
fi
if [ -n "$clear" ]; then
    echo "setup: installing for Python $version in $venv: about a minute and 1.7 GB with a CPU build of torch, more with CUDA"
else
    echo "setup: bringing $venv up to date"
fi
if [ -n "$clear" ] && [ -z "$torch_index" ]; then
    if "$python" -c "$reached" $cpu_index 2> /dev/null; then torch_index=$cpu_index; else torch_index=default; fi
fi
if [ "$torch_index" = default ]; then
    echo "setup: torch comes from the default package index, which may have a CUDA build"
elif [ -n "$torch_index" ]; then
    echo "setup: torch comes from $torch_index; make TORCH_INDEX=URL takes it from elsewhere, such as a CUDA build"
fi
rm -f "$stamp"
"$python" -m venv $clear "$venv" || fail "$python cannot make virtual environments; install its venv package"

install() { "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt "$@"; }

install setuptools setuptools-scm wheel
if [ -n "$torch_index" ] && [ "$torch_index" != default ]; then
    # A build such as 2.13.0+cpu counts as newer than 2.13.0, so it wins over the default index, from
    # which everything but torch and torchvision comes.
    install --extra-index-url "$torch_index" torch torchvision
fi
install --no-build-isolation -e ".[dev]"
# Their metadata forbids Python above 3.10 and NumPy 2, which they work with: see pyproject.toml.
install --no-deps --ignore-requires-python lava-nc lava-dl
printf '%s\n%s\n' "$torch_index" "$sources" > "$stamp"
