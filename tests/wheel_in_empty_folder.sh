#!/usr/bin/env bash
# The wheel in an environment of its own, used from an empty folder, without this repository; `make test-matrix` does it on each Python.
# usage: [TORCH=2.13.0] tests/wheel_in_empty_folder.sh PYTHON lowest|newest     needs uv, which brings interpreters that are missing
# With TORCH, that release is taken instead of the lowest or newest, for instance one whose CPU build is at hand.
set -Eeuo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
what="Python $1, $2 versions${TORCH:+, torch $TORCH}"
trap 'rm -rf "$folder"' EXIT
trap 'echo "=== $what: FAILED at: $BASH_COMMAND" >&2' ERR
echo "=== $what ==="

# pyenv keeps the interpreters that it has off the PATH
interpreters=$(command -v pyenv >/dev/null && printf '%s:' "$(pyenv root)"/versions/*/bin || true)
PATH="$interpreters$PATH" uv venv --quiet --seed --python "$1" "$folder/env" || { echo "=== $what: NOT MADE, there is no such interpreter" >&2; exit 1; }
uv build --quiet --out-dir "$folder/built" "$repository"  # the source distribution, and the wheel from that
pip() { "$folder/env/bin/python" -m pip --disable-pip-version-check "$@"; }
touch "$folder/pins.txt"
if [ "$2" = lowest ]; then
	uv pip compile --quiet --python "$folder/env/bin/python" --resolution lowest-direct --no-deps ${TORCH:+--no-emit-package torch} \
		--extra demo --extra onnx "$repository/setup.cfg" --output-file "$folder/pins.txt" >/dev/null
fi
[ -z "${TORCH:-}" ] || echo "torch==$TORCH" >>"$folder/pins.txt"
pip install --quiet --progress-bar off --constraint "$folder/pins.txt" "$(echo "$folder"/built/*.whl)[demo,onnx]"
pip check
pip list --format freeze | grep -E "^(fire|matplotlib|monai|monai-debias|nibabel|numpy|onnx|onnxruntime|pillow|pydicom|pytorch-ignite|scikit-learn|scipy|torch)==" | paste -sd " "

export PATH="$folder/env/bin:$PATH" VIRTUAL_ENV="$folder/env" OMP_NUM_THREADS=1
unset PYTHONPATH
mkdir "$folder/empty"
cd "$folder/empty"
bundle() { python -W ignore -m monai.bundle run "$@"; }
python -c "import monai_debias; assert '$folder/env' in monai_debias.__file__"
monai-debias --version
monai-debias doctor
monai-debias bundles
monai-debias demo-data echo cohort --patients "(6, 2, 8)" --frames 4 --progress False
monai-debias check cohort --out checked
monai-debias bundles copy echo_view mine
cd mine
python -W ignore -m monai.bundle verify_metadata --meta_file configs/metadata.json --filepath docs/metadata_schema.json
bundle --config_file configs/inference.json --dataset_dir ../cohort/test_random --heatmaps True
test -s predictions/demo/predictions.csv
monai-debias audit . ../cohort --section test_reversed --out ../findings || test $? = 3  # 3: a shortcut was found
test -s ../findings/audit.html
small=(--dataset_dir ../cohort --image_size "[48,48]" --show_progress False)
bundle --config_file "['configs/train.json','configs/backmix.json','configs/isnet.json']" "${small[@]}" --max_epochs 1 --batch_size 8
bundle --config_file "['configs/train.json','configs/evaluate.json']" "${small[@]}" --method backmix+isnet --n_resamples 50
test -s eval/backmix+isnet/metrics.json
echo "=== $what: passed ==="
