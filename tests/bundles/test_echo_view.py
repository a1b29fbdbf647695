# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The bundle as a user runs it: each test types a command line."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigWorkflow
from pydicom import dcmread
from pydicom.data import get_testdata_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from monai_debias.apps.ultrasound import LoadUltrasound
from monai_debias.data import load_datalist
from monai_debias.demo import build_echo_cohort
from tests.bundles.command_line import run_bundle

BUNDLE = Path(__file__).resolve().parents[2] / "bundles" / "echo_view"
VIEWS = ("PLAX", "PSAX", "A2C", "A4C")
SPLITS = ("test_same", "test_random", "test_reversed")
LAYERS = ["layer1", "layer2", "layer3", "layer4"]
KEY_METRICS = ("val_accuracy", "val_swap_consistency", "consistent_val_accuracy")
SMALL = ["--max_epochs", "1", "--batch_size", "8", "--image_size", "[48,48]"]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "monai.bundle", *map(str, arguments)]


def run(*arguments: object, fails: bool = False) -> str:
    """Run ``python -m monai.bundle`` in the bundle's folder; returns what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "output.txt")
        code = run_bundle(list(map(str, arguments)), BUNDLE, log)
        output = log.read_text(encoding="utf-8", errors="replace")
    assert (code != 0) == fails, output[-6000:]
    return output


def configs(*names: str | Path) -> str:
    return str([str(Path("configs", f"{name}.json")) for name in names])


def json_blocks(markdown: str) -> list[str]:
    return re.findall(r"```json\n(.*?)```", markdown, re.DOTALL)


def train(folder: Path, cohort: Path, *overlays: str, options: tuple = ()) -> str:
    places = ["--dataset_dir", cohort, "--ckpt_dir", folder, "--output_dir", folder]
    return run("run", "--config_file", configs("train", *overlays), *places, *SMALL, *options)


@pytest.fixture(scope="module", name="cohort")
def fixture_cohort(tmp_path_factory) -> Path:
    return build_echo_cohort(tmp_path_factory.mktemp("echo") / "cohort", patients=(6, 2, 3), frames=4, progress=False)


@pytest.fixture(scope="module", name="trained")
def fixture_trained(tmp_path_factory, cohort) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train(folder, cohort)
    return folder


@pytest.fixture(scope="module", name="isnet")
def fixture_isnet(tmp_path_factory, cohort) -> Path:
    folder = tmp_path_factory.mktemp("isnet")
    train(folder, cohort, "isnet")
    return folder


def logged(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return events


def losses(folder: Path) -> list[float]:
    return [event.value for event in logged(folder).Scalars("train_loss")]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_training_leaves_a_model_a_resumable_state_and_a_log(trained):
    weights = torch.load(trained / "model.pt", weights_only=True)
    assert weights["fc.weight"].shape == (4, 256)
    assert torch.load(trained / "last.pt", weights_only=True)["trainer"]["max_epochs"] == 1
    assert len(losses(trained)) == 3  # 24 clips in batches of 8
    assert all(0 < loss < 10 for loss in losses(trained))


@pytest.mark.parametrize(
    ("overlay", "options"),
    [
        ("backmix", ()),
        ("backmix", ("--background", "noise")),
        ("wbackmix", ("--requested_mask_fraction", "0.3")),
        ("spectral_decoupling", ("--penalty_weight", "1.0")),
        ("mixup", ()),
        ("manifold_mixup", ("--alpha", "0.4")),
    ],
)
def test_every_overlay_trains_differently_from_the_baseline(overlay, options, tmp_path, cohort, trained):
    train(tmp_path, cohort, overlay, options=options)
    assert (tmp_path / "model.pt").exists()
    assert all(0 < loss < 10 for loss in losses(tmp_path))
    assert losses(tmp_path)[0] != losses(trained)[0]  # same seed and first batch, but not the same images


def test_the_best_epoch_is_chosen_by_the_exchange_of_backgrounds(tmp_path, cohort):
    train(tmp_path, cohort, "backmix", "select_by_swap")
    found = {name: logged(tmp_path).Scalars(name)[-1].value for name in KEY_METRICS}
    assert 0 < found["val_accuracy"] <= 1
    assert 0 < found["val_swap_consistency"] <= 1
    product = found["val_accuracy"] * found["val_swap_consistency"]
    assert found["consistent_val_accuracy"] == pytest.approx(product, abs=1e-6)
    best = torch.load(tmp_path / "last.pt", weights_only=True)["best"]
    assert best["metric"] == "consistent_val_accuracy"
    assert best["score"] == pytest.approx(product, abs=1e-6)


def test_evaluate_reports_every_split(trained, cohort, tmp_path):
    arguments = ["run", "--config_file", configs("train", "evaluate"), "--dataset_dir", cohort, "--ckpt_dir", trained]
    arguments += ["--output_dir", tmp_path, "--image_size", "[48,48]", "--n_resamples", "50"]
    run(*arguments)
    results = json.loads((tmp_path / "metrics.json").read_text())
    assert list(results) == list(SPLITS)
    for result in results.values():
        assert result["samples"] == 12
        assert result["patients"] == 3
        assert set(result["metrics"]) >= {"accuracy", "balanced_accuracy", "f1_macro", "roc_auc"}
        assert set(result["labels"]) == set(VIEWS)
        assert all(0 <= low <= high <= 1 for _, low, high in result["metrics"].values())
    rows = read(tmp_path / "predictions.csv")
    items = [item for split in results for item in load_datalist(cohort, split)]
    assert [cohort / row["file"] for row in rows] == [Path(item["image"]) for item in items]
    assert [row["label"] for row in rows] == [VIEWS[item["label"]] for item in items]
    for row in rows:
        assert sum(float(row[f"p_{view}"]) for view in ("PLAX", "PSAX", "A2C", "A4C")) == pytest.approx(1, abs=1e-5)
    assert (tmp_path / "confusion_matrix.png").stat().st_size > 5000
    before = (tmp_path / "metrics.json").read_text()
    assert "pass overwrite=True" in run(*arguments, fails=True)
    assert (tmp_path / "metrics.json").read_text() == before


@pytest.mark.parametrize("names", [("train", "evaluate"), ("inference",)], ids="-".join)
def test_a_model_with_a_changed_byte_is_refused(names, trained, cohort, tmp_path):
    content = bytearray((trained / "model.pt").read_bytes())
    weight = torch.load(trained / "model.pt", weights_only=True)["fc.weight"]
    content[content.index(weight.numpy().tobytes())] ^= 1
    (tmp_path / "model.pt").write_bytes(content)
    arguments = ["--dataset_dir", cohort, "--ckpt_dir", tmp_path, "--output_dir", tmp_path, "--image_size", "[48,48]"]
    output = run("run", "--config_file", configs(*names), *arguments, fails=True)
    assert f"{tmp_path / 'model.pt'} is not a checkpoint, or is damaged: the checksum" in output
    assert not (tmp_path / "predictions.csv").exists()


def infer(trained: Path, source: Path, out: Path, *options: str, fails: bool = False) -> str:
    places = ["--dataset_dir", source, "--checkpoint", trained / "model.pt", "--output_dir", out]
    return run("run", "--config_file", configs("inference"), *places, "--image_size", "[48,48]", *options, fails=fails)


def test_isnet_logs_its_terms_and_saves_its_state(isnet):
    terms = {name: logged(isnet).Scalars(name)[-1].value for name in logged(isnet).Tags()["scalars"]}
    assert terms["classification_loss"] > 0
    assert terms["background_loss"] > 0
    assert terms["gradient_norm"] > 0
    assert terms["relevance_weight"] == pytest.approx(0.5)  # the ramp ends in the middle of the only epoch
    state = torch.load(isnet / "last.pt", weights_only=True)
    assert [cuts.tolist() for cuts in state["loss"].values()] == [pytest.approx([1.0, 100.0])]


def test_isnet_leaves_a_plain_network(isnet, trained, cohort, tmp_path):
    weights, plain = (torch.load(folder / "model.pt", weights_only=True) for folder in (isnet, trained))
    assert {name: tensor.shape for name, tensor in weights.items()} == {n: t.shape for n, t in plain.items()}
    arguments = ["run", "--config_file", configs("train", "evaluate"), "--dataset_dir", cohort, "--ckpt_dir", isnet]
    run(*arguments, "--output_dir", tmp_path / "eval", "--image_size", "[48,48]", "--n_resamples", "50")
    assert list(json.loads((tmp_path / "eval" / "metrics.json").read_text())) == list(SPLITS)
    path = Path(load_datalist(cohort, "test_random")[0]["image"])
    infer(isnet, path, tmp_path / "one")
    assert [row["file"] for row in read(tmp_path / "one" / "predictions.csv")] == [str(path)]


def test_inference_on_a_folder_and_on_a_file_agree(trained, cohort, tmp_path):
    source = cohort / "test_random"
    output = infer(trained, source, tmp_path / "folder")
    rows = read(tmp_path / "folder" / "predictions.csv")
    assert [row["file"] for row in rows] == [str(path) for path in sorted(source.glob("*.dcm"))]
    file = Path(rows[5]["file"])
    infer(trained, file, tmp_path / "file")
    single = json.loads((tmp_path / "file" / "predictions.json").read_text())
    assert len(single) == 1
    for view in ("PLAX", "PSAX", "A2C", "A4C"):
        assert single[0][f"p_{view}"] == pytest.approx(float(rows[5][f"p_{view}"]), abs=1e-5)
    header = dcmread(file, stop_before_pixels=True)
    written = output + "".join(path.read_text() for path in (tmp_path / "folder").iterdir())
    assert str(header.PatientName) not in written


def test_inference_averages_the_frames_of_a_clip(trained, cohort, tmp_path):
    """A clip whose frames are all its middle frame is judged as the clip's middle frame, not as the clip."""
    path = load_datalist(cohort, "test_random")[0]["image"]
    whole = LoadUltrasound()(path)
    assert whole.shape[-1] == 4
    assert not torch.equal(whole[..., 0], whole[..., 2])
    infer(trained, Path(path), tmp_path / "clip")
    workflow = ConfigWorkflow(
        str(BUNDLE / "configs" / "inference.json"), str(BUNDLE / "configs" / "metadata.json"), workflow_type="infer"
    )
    workflow.parser["image_size"] = [48, 48]
    workflow.parser["dataset_dir"] = path
    workflow.initialize()
    network = workflow.network_def.eval()
    network.load_state_dict(torch.load(trained / "model.pt", weights_only=True))
    clip = workflow.parser.get_parsed_content("preprocessing")({"image": path})["image"].as_tensor()
    with torch.no_grad():
        expected = network(clip.movedim(-1, 0)).softmax(1).mean(0)
    row = json.loads((tmp_path / "clip" / "predictions.json").read_text())[0]
    assert [row[f"p_{view}"] for view in ("PLAX", "PSAX", "A2C", "A4C")] == pytest.approx(expected.tolist(), abs=1e-5)


def test_inference_leaves_out_what_it_cannot_read_unless_it_is_strict(trained, cohort, tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    files = sorted((cohort / "test_random").glob("*.dcm"))[:3]
    for name, file in zip(("a.dcm", "b.dcm", "e.dcm"), files, strict=True):
        shutil.copy(file, source / name)
    (source / "c.dcm").write_bytes(files[0].read_bytes()[:-2000])
    shutil.copy(get_testdata_file("reportsi.dcm"), source / "d.dcm")
    output = infer(trained, source, tmp_path / "out")
    assert "3 files are used; 2 left out (1 unreadable, 1 unrelated)" in output
    names = [Path(row["file"]).name for row in read(tmp_path / "out" / "predictions.csv")]
    assert names == ["a.dcm", "b.dcm", "e.dcm"]
    left_out = {Path(row["file"]).name: (row["kind"], row["reason"]) for row in read(tmp_path / "out" / "left_out.csv")}
    assert {name: kind for name, (kind, _) in left_out.items()} == {"c.dcm": "unreadable", "d.dcm": "unrelated"}
    assert "cut short" in left_out["c.dcm"][1]
    assert "modality SR" in left_out["d.dcm"][1]

    output = infer(trained, source, tmp_path / "strict", "--strict", "True", fails=True)
    assert "c.dcm: " in output
    assert [Path(row["file"]).name for row in read(tmp_path / "strict" / "predictions.csv")] == ["a.dcm", "b.dcm"]
    assert [Path(row["file"]).name for row in read(tmp_path / "strict" / "left_out.csv")] == ["c.dcm"]


def in_this_process(folder: Path, cohort: Path, *overlays: str, **options: object) -> None:
    """The same training as the command line's, sooner."""
    files = [str(BUNDLE / "configs" / f"{name}.json") for name in ("train", *overlays)]
    places = {name: str(folder) for name in ("ckpt_dir", "output_dir")} | {"dataset_dir": str(cohort)}
    small = {"batch_size": 8, "image_size": [48, 48], "show_progress": False}
    workflow = ConfigWorkflow(files, workflow_type="train", logging_file=None, **places, **{**small, **options})
    workflow.initialize()
    workflow.run()


def test_a_killed_training_equals_the_uninterrupted_one_when_the_command_is_typed_again(tmp_path, cohort):
    """With BackMix, which draws a donor for each image."""
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    places = ["--dataset_dir", cohort, "--ckpt_dir", cut, "--output_dir", cut]
    arguments = ["run", "--config_file", configs("train", "backmix"), *places, *SMALL, "--max_epochs", "4"]
    process = subprocess.Popen(command(*arguments), cwd=BUNDLE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (cut / "last.pt").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)  # until the first epoch has been saved
    process.send_signal(signal.SIGKILL)
    process.wait()
    epochs = torch.load(cut / "last.pt", weights_only=True)["trainer"]["iteration"] // 3
    assert 1 <= epochs < 4
    in_this_process(cut, cohort, "backmix", max_epochs=4)
    in_this_process(whole, cohort, "backmix", max_epochs=4)
    for name in ("model.pt", "last.pt"):
        resumed, uninterrupted = (torch.load(folder / name, weights_only=True) for folder in (cut, whole))
        weights, expected = (state.get("network", state) for state in (resumed, uninterrupted))
        assert all(torch.equal(weights[key], expected[key]) for key in expected)


def test_another_method_does_not_go_on_with_a_training(trained, cohort):
    before = (trained / "last.pt").read_bytes()
    with pytest.raises(RuntimeError) as caught:  # of MONAI, which evaluates the config
        in_this_process(trained, cohort, "mixup", max_epochs=2)
    assert "last.pt does not belong to this training: method is 'baseline' there and 'mixup' here" in str(
        caught.value.__cause__
    )
    assert (trained / "last.pt").read_bytes() == before


def test_a_loss_that_is_nan_ends_the_plain_training_with_an_error(tmp_path, cohort):
    with pytest.raises(RuntimeError) as caught:
        in_this_process(tmp_path, cohort, max_epochs=1, learning_rate=1e30)
    assert isinstance(caught.value.__cause__, FloatingPointError)
    assert re.search(r" is (nan|-?inf) in iteration [23] \(epoch 1\)", str(caught.value.__cause__))
    assert not (tmp_path / "model.pt").exists()


def test_metadata_network_and_export(trained, tmp_path):
    schema = tmp_path / "schema.json"
    shutil.copy(Path(__file__).with_name("meta_schema.json"), schema)
    run("verify_metadata", "--meta_file", "configs/metadata.json", "--filepath", schema)
    common = ["--net_id", "network_def", "--meta_file", "configs/metadata.json", "--config_file", configs("inference")]
    output = run("verify_net_in_out", *common)
    assert "verified" in output
    exported = tmp_path / "model.ts"
    run(
        "ckpt_export",
        *common,
        "--filepath",
        exported,
        "--ckpt_file",
        trained / "model.pt",
        "--input_shape",
        "[1,1,112,112]",
    )
    x = torch.rand(2, 1, 112, 112, generator=torch.Generator().manual_seed(0))
    workflow = ConfigWorkflow(
        str(BUNDLE / "configs" / "inference.json"), str(BUNDLE / "configs" / "metadata.json"), workflow_type="infer"
    )
    workflow.initialize()
    network = workflow.network_def.eval()
    network.load_state_dict(torch.load(trained / "model.pt", weights_only=True))
    assert torch.allclose(torch.jit.load(exported).eval()(x), network(x), atol=1e-5)


@pytest.mark.parametrize(
    ("names", "kind"),
    [(["train"], "train"), (["inference"], "infer"), (["train", "backmix"], "train"), (["train", "isnet"], "train")],
)
def test_no_property_is_missing(names, kind, cohort, tmp_path):
    files = [str(BUNDLE / "configs" / f"{name}.json") for name in names]
    places = {"dataset_dir": str(cohort), "bundle_root": str(tmp_path)}
    options = {**places, "batch_size": 8} if kind == "train" else places  # the cohort has fewer images than a batch
    workflow = ConfigWorkflow(files, str(BUNDLE / "configs" / "metadata.json"), workflow_type=kind, **options)
    workflow.initialize()
    assert workflow.check_properties() == []


def run_two_processes(*arguments: object) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        launch + command("run", *arguments)[1:],
        cwd=BUNDLE,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-6000:]


def test_backmix_isnet_and_spectral_decoupling_in_one_training(tmp_path, cohort):
    train(tmp_path, cohort, "backmix", "isnet", "spectral_decoupling", options=("--penalty_weight", "1.0"))
    terms = {name: logged(tmp_path).Scalars(name)[-1].value for name in logged(tmp_path).Tags()["scalars"]}
    assert all(terms[f"{name}_loss"] > 0 for name in ("classification", "background", "penalty"))
    assert torch.load(tmp_path / "model.pt", weights_only=True)["fc.weight"].shape == (4, 256)


def test_flow_mixup_in_two_processes_and_its_groups(tmp_path, cohort):
    places = ["--dataset_dir", cohort, "--ckpt_dir", tmp_path, "--output_dir", tmp_path]
    run_two_processes("--config_file", configs("train", "flow_mixup", "multi_gpu_train"), *places, *SMALL)
    groups = ("unmixed", "layer2", "layer3")
    means = [logged(tmp_path).Scalars(f"{group}_loss")[-1].value for group in groups]
    assert sum(means) / 3 == pytest.approx(losses(tmp_path)[-1], rel=1e-5)  # one batch in the epoch
    assert torch.load(tmp_path / "model.pt", weights_only=True)["fc.weight"].shape == (4, 256)


def test_two_processes_train_one_model(tmp_path, cohort):
    places = ["--dataset_dir", cohort, "--ckpt_dir", tmp_path, "--output_dir", tmp_path]
    files = configs("train", "backmix", "select_by_swap", "multi_gpu_train")
    run_two_processes("--config_file", files, *places, *SMALL)
    weights = torch.load(tmp_path / "model.pt", weights_only=True)
    assert weights["fc.weight"].shape == (4, 256)  # saved as the plain network, without a "module." prefix
    assert torch.load(tmp_path / "last.pt", weights_only=True)["trainer"]["epoch_length"] == 1  # 12 clips each, by 8
    found = {name: logged(tmp_path).Scalars(name)[-1].value for name in KEY_METRICS}
    assert found["consistent_val_accuracy"] == pytest.approx(found["val_accuracy"] * found["val_swap_consistency"])


def test_isnet_with_deep_supervision_few_masks_and_tuned_cuts_in_two_processes(tmp_path, cohort):
    """On top of BackMix; and one process resumes what two have begun: what the method needs is in ``last.pt``."""
    guide = (BUNDLE.parents[1] / "docs" / "isnet.md").read_text(encoding="utf-8")
    (tmp_path / "tuning.json").write_text(next(b for b in json_blocks(guide) if "RelevanceCutTuning" in b))
    files = ["train", "backmix", "isnet", "isnet_lds", "few_masks", tmp_path / "tuning"]
    options = ["--dataset_dir", cohort, "--ckpt_dir", tmp_path, "--output_dir", tmp_path, *SMALL]
    options += ["--train#method_handlers#cut_tuning#epochs", "1", "--requested_mask_fraction", "0.3"]
    run_two_processes("--config_file", configs(*files, "multi_gpu_train"), *options)
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    assert state["cut_tuning"] == {"tuned": True}
    assert state["loss"].keys() == {f"layer_cuts.of:{layer}" for layer in ("input", *LAYERS)}
    options[options.index("--max_epochs") + 1] = "2"
    output = run("run", "--config_file", configs(*files), *options, "--logging_file", "configs/logging.conf")
    assert "resuming after epoch 1 " in output
    assert "cuts at" not in output  # they are not tuned again
    resumed = torch.load(tmp_path / "last.pt", weights_only=True)
    assert resumed["trainer"]["iteration"] > state["trainer"]["iteration"]
    assert all(torch.equal(cuts, state["loss"][name]) for name, cuts in resumed["loss"].items())
    assert logged(tmp_path).Scalars("background_loss")[-1].value > 0
    assert torch.load(tmp_path / "model.pt", weights_only=True)["fc.weight"].shape == (4, 256)


def test_tracking_with_mlflow(tmp_path, cohort):
    import mlflow

    train(tmp_path, cohort, options=("--tracking", "mlflow"))
    client = mlflow.MlflowClient(f"sqlite:///{next(tmp_path.rglob('*.db'))}")
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    metrics = {name for run in runs for name in run.data.metrics}
    assert {"train_loss", "val_accuracy"} <= metrics


def test_bad_data_gets_a_clear_error(tmp_path, cohort):
    def fails(dataset_dir: Path, *options: str) -> str:
        places = ["--dataset_dir", dataset_dir, "--ckpt_dir", tmp_path / "m", "--output_dir", tmp_path / "o"]
        return run("run", "--config_file", configs("train"), *places, *SMALL, *options, fails=True)

    (tmp_path / "empty").mkdir()
    assert "is empty; build one with" in fails(tmp_path / "empty")
    assert not any((tmp_path / "empty").iterdir())
    assert "does not exist" in fails(tmp_path / "typing_error")  # the demo cohort is not generated in its place
    assert "the network is made for A4C, PLAX" in fails(cohort, "--class_names", "['A4C','PLAX']")
