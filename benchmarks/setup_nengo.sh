#!/usr/bin/env bash
# Makes an environment for the benchmark's optional contestant: nengo-loihi's emulator, whose pins conflict
# with ours. Usage: benchmarks/setup_nengo.sh FOLDER [PYTHON]; then run the benchmark with
# SNE_BENCH_NENGO_PYTHON=FOLDER/bin/python. PYTHON must be 3.10: NumPy 1.23 is the last that it works with.
set -euo pipefail
folder=${1:?usage: benchmarks/setup_nengo.sh FOLDER [PYTHON]}
python=${2:-python3.10}
"$python" -c 'import sys; sys.exit(0 if sys.version_info[:2] == (3, 10) else "Python 3.10 is needed")'
"$python" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet nengo-loihi==1.1.0 nengo==3.2.0 numpy==1.23.5 scipy==1.10.1
"$folder/bin/python" -c 'import nengo_loihi; print("nengo-loihi", nengo_loihi.__version__)'
