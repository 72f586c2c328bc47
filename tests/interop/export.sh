#!/usr/bin/env bash
# Make the recordings anew, in the environments that make_environments.sh made.
#
# usage: export.sh ENVIRONMENTS [DATA]      (default: the data folder beside this script)
set -euo pipefail

environments=$(cd "${1:?usage: export.sh ENVIRONMENTS [DATA]}" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
data=${2:-$here/data}

for framework in snntorch sinabs spikingjelly norse; do
    # nirtorch lists edges in the order of a set.
    PYTHONHASHSEED=0 "$environments/$framework/bin/python" "$here/export_$framework.py" "$data"
done
