#!/usr/bin/env bash
# Build the wheel, install it outside the tree, and run the main job there on the committed model.
#
# usage: test_wheel.sh VENV
#
# The new environment sees the installed dependencies of VENV (torch is large), but the project itself is
# in it from the wheel alone: this checks that the wheel contains every file it needs.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
venv=$(cd "$root" && cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What git knows or would add, so that nothing left over from an earlier build gets in.
mkdir "$work/source"
(cd "$root" && git ls-files -z --cached --others --exclude-standard \
    | while IFS= read -r -d '' file; do if [ -e "$file" ]; then printf '%s\0' "$file"; fi; done \
    | tar --null -T - -cf -) | tar -xf - -C "$work/source"
echo "test-wheel: building"
"$venv/bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
    -w "$work/dist" "$work/source"
rm -rf "$work/source"

"$venv/bin/python" -m venv "$work/env"
python=$work/env/bin/python
site_packages='import sysconfig; print(sysconfig.get_path("purelib"))'
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --no-index "$work"/dist/*.whl
# A path in a .pth file is searched after the environment's own, and the .pth files there are not read,
# among them the one of the editable installation.
"$venv/bin/python" -c "$site_packages" > "$("$python" -c "$site_packages")/dependencies.pth"

mkdir "$work/job"
cp "$root/examples/digits/model.pt" "$root/examples/digits/teacher.onnx" "$root/scripts/check_wheel_run.py" "$work/job"
cd "$work/job"
echo "test-wheel: sne-compile outside the tree"
"$work/env/bin/sne-compile" model.pt --target lava --teacher teacher.onnx --samples 100 --out out
"$python" check_wheel_run.py out/report.json "$root"
