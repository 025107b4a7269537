#!/usr/bin/env bash
# Builds the wheel, installs it beside the packages of this environment, and uses it from an unrelated folder.
# usage: tools/check_wheel.sh [PYTHON]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=$(cd "$root" && command -v "${1:-.venv/bin/python}" && true)
case $python in /*) ;; *) python=$root/$python ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/source" "$work/elsewhere"
cd "$root"
cp -r pyproject.toml setup.py README.md LICENSE sampling_free configs "$work/source"
"$python" -m pip wheel --quiet --no-deps --wheel-dir "$work" "$work/source"
"$python" -m venv --without-pip "$work/venv"
site=$("$work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$python" -m pip install --quiet --no-deps --target "$site" "$work"/sampling_free-*.whl
# torch and the like come from the environment; the project itself must not
"$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$site/rest.pth"
cd "$work/elsewhere"
run() { "$work/venv/bin/python" -m sampling_free "$@"; }
"$work/venv/bin/python" -c "import sampling_free; assert sampling_free.__file__.startswith('$site'), sampling_free.__file__"
run configs torchvision/ | grep retinanet >/dev/null
"$work/venv/bin/python" - <<'PYTHON'
from sampling_free.data.shapes import ShapesSettings, generate_shapes
generate_shapes("shapes", ShapesSettings(num_train=12, num_val=4, size=64))
PYTHON
small="--backbone small --epochs 1 --size 64"
run train shapes $small --compare --output out train.max_iter=2
ours=out/compare/retinanet-sampling-free
run predict --config-file out/config.py --weights $ours/checkpoints/last.ckpt shapes/val --output predictions
run plot $ours out/compare/retinanet-own-form --output curves
run evaluate --config-file out/config.py train.init_checkpoint=$ours/checkpoints/last.ckpt
test -f out/compare/table.md -a -f predictions/predictions.json -a -f curves/losses.png
echo "the wheel works from an unrelated folder"
