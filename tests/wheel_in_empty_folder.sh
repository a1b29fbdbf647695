#!/usr/bin/env bash
# The wheel in an environment of its own, used from an empty folder, without this repository; `make test-matrix` does it on each Python.
# usage: tests/wheel_in_empty_folder.sh PYTHON lowest-direct|highest      needs uv, which brings interpreters that are missing
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
echo "=== Python $1, $2 versions ==="

uv venv --quiet --python "$1" "$folder/env"
uv build --quiet --wheel --out-dir "$folder/wheel" "$repository"
# what setup.cfg names is asked for directly, since only that is taken at its lowest version
(cd "$repository" && uv pip install --quiet --python "$folder/env" --resolution "$2" --requirement setup.cfg --extra demo --extra onnx)
uv pip install --quiet --python "$folder/env" --no-deps "$folder"/wheel/*.whl
export PATH="$folder/env/bin:$PATH" VIRTUAL_ENV="$folder/env" OMP_NUM_THREADS=1
unset PYTHONPATH
uv pip list --quiet --python "$folder/env" | grep -E "^(monai|torch|numpy|pydicom|scikit-learn|scipy) "

mkdir "$folder/empty"
cd "$folder/empty"
bundle() { python -W ignore -m monai.bundle run --logging_file configs/logging.conf "$@"; }
monai-debias --version
monai-debias doctor
monai-debias bundles
monai-debias demo-data echo cohort --patients "(6, 2, 3)" --frames 4 --progress False
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
echo "=== Python $1, $2 versions: passed ==="
