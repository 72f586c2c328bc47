#!/usr/bin/env bash
# Make the recordings anew, in the environments that make_environments.sh made.
#
# usage: export.sh ENVIRONMENTS [DATA [--live]]     (default: the data folder beside this script)
#
# --live also makes the networks that are not kept in the data folder.
set -euo pipefail

environments=$(cd "${1:?usage: export.sh ENVIRONMENTS [DATA [--live]]}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
data=${2:-$here/data}

for script in "$here"/export_*.py; do
    framework=$(basename "$script" .py)
    framework=${framework#export_}
    # nirtorch lists edges in the order of a set.
    PYTHONHASHSEED=0 JAX_PLATFORMS=cpu "$environments/$framework/bin/python" "$script" ${3:-} "$data"
done
