# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Three processes with seven items, with two, and with one that fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.transforms import Activationsd
from PIL import Image

from monai_debias.audit import audit
from monai_debias.audit.checks import BackgroundUsed, GlobalCues, PatchUsed, RegionFilled, RelevanceOutside
from monai_debias.audit.results import as_json
from monai_debias.data.found_masks.command import Source, write_masks
from monai_debias.data.share_loader import ShareLoader
from monai_debias.distributed import alone, gathered, in_first, is_first, own_share, share_work
from monai_debias.handlers import ClassificationMetric, ClassificationReport
from tests import processes
from tests.audit.subjects import make_items
from tests.data.found_masks.bright_areas import BrightArea, make_pictures
from tests.three_processes import in_three


def network() -> torch.nn.Module:
    """One that reads the middle and the corner, whose layers can be seen."""
    layers = torch.nn.Sequential(torch.nn.AvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(64, 2))
    weight = torch.zeros(8, 8)
    weight[2:6, 2:6], weight[7, 7] = 0.5, 4.0
    layers[2].weight.data = torch.stack([-weight.flatten(), weight.flatten()])
    layers[2].bias.data = torch.tensor([6.0, -6.0])
    return layers


def shares(folder: Path) -> dict[str, Any]:
    """What this process has and gets."""
    mine = own_share(range(7))
    with alone():
        outside = own_share(range(7))
    return {
        "mine": list(mine),
        "all": gathered(mine),
        "squares": share_work(lambda part: [n * n for n in part], range(7)),
        "fewer": share_work(lambda part: list(part), range(2)),
        "some": share_work(lambda part: [n for n in part if n % 2], range(7)),
        "none": share_work(list, []),
        "first": in_first(lambda: "asked" if is_first() else "wrong"),
        "alone": len(outside),
        "error": told(lambda: share_work(fails_at_5, range(7))),
        "unpicklable": told(lambda: share_work(fails_oddly, range(7))),
        "masks": find(folder / "masks"),
        "audit": audited(make_items(60)),
        "reports": [reported(folder / f"report {n}", n) for n in (7, 2)],
        "no item": told(lambda: audit(network(), [])),
        "two sizes": told(lambda: audit(network(), [*make_items(5), *other_size(2)])),
    }


def told(work) -> tuple[str, str]:
    try:
        work()
    except Exception as error:  # noqa: BLE001 # the test looks at it
        return type(error).__name__, str(error)
    return "", ""


def fails_at_5(numbers):
    if 5 in numbers:
        raise FileNotFoundError(2, "no such file", "5.png")
    return numbers


def fails_oddly(numbers):
    class LocalError(Exception):
        pass

    if 5 in numbers:
        raise LocalError("of 5")
    return numbers


def find(out: Path) -> list[tuple]:
    data = make_pictures(out.parent / "data") if is_first() else out.parent / "data"
    in_first(lambda: more_pictures(data))
    finder = BrightArea(100, out.parent / "finder.log")
    rows = write_masks(Source(data / "pictures", out), out, finder, "picture", "table", 1, progress=True)
    return [(row.image, row.mask and row.mask.name, row.area, row.doubts) for row in rows]


def more_pictures(data: Path) -> None:
    for n in range(4, 7):
        Image.fromarray(np.full((20, 30), 40 * n, np.uint8)).save(data / "pictures" / f"{n}.png")


def audited(items) -> dict[str, Any]:
    patches = PatchUsed(n_proposing=50, most=20)
    checks = [BackgroundUsed(), RegionFilled(), GlobalCues(), RelevanceOutside(), patches]
    found = audit(network(), items, checks=checks, batch_size=4)
    return {**as_json(found), "changes": [sorted(one.changes) for one in found.findings]}


def reported(out: Path, n: int) -> float:
    """The key metric of an evaluation of n samples, each process with its share; the report is in the folder."""
    logits = torch.randn(7, 2, generator=torch.Generator().manual_seed(0))
    samples = [
        {"image": MetaTensor(row, meta={"filename_or_obj": f"{k}.png"}), "label": k % 2, "split": "test"}
        for k, row in enumerate(logits[:n])
    ]
    evaluator = SupervisedEvaluator(
        torch.device("cpu"),
        ShareLoader(DataLoader(Dataset(own_share(samples)), batch_size=2)),
        torch.nn.Identity(),
        postprocessing=Activationsd("pred", softmax=True),
        key_val_metric=ClassificationMetric.as_key_metric(),
        val_handlers=[ClassificationReport(out, ["a", "b"], n_resamples=20)],
    )
    evaluator.run()
    return evaluator.state.metrics["val_accuracy"]


def other_size(n: int) -> list[dict[str, Any]]:
    return [{**item, "image": item["image"][:, :8], "mask": item["mask"][:, :8]} for item in make_items(n)]


@pytest.fixture(scope="module", name="found")
def fixture_found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("three")
    results = in_three(shares, folder)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results, folder


def test_a_share_is_contiguous_and_all_get_everything_in_order(found):
    assert [one["mine"] for one in found[0]] == [[0, 1], [2, 3], [4, 5, 6]]
    for one in found[0]:
        assert one["all"] == list(range(7))
        assert one["squares"] == [n * n for n in range(7)]
        assert one["fewer"] == [0, 1]
        assert (one["some"], one["none"], one["first"], one["alone"]) == ([1, 3, 5], [], "asked", 7)


def test_an_error_of_one_process_ends_all_of_them(found):
    for one in found[0]:
        assert one["error"] == ("FileNotFoundError", "[Errno 2] no such file: '5.png'")
        assert one["unpicklable"][1].endswith("of 5")
        assert one["no item"] == ("ValueError", "none of the 0 images can be used: the data set is empty.")
        assert one["two sizes"][1].startswith("the image of item 5 is (1, 8, 16), the first one (1, 16, 16): bring all")


def test_masks_are_those_of_one_process_and_one_writes(found, tmp_path):
    data, out = make_pictures(tmp_path / "data"), tmp_path / "masks"
    more_pictures(data)
    finder = BrightArea(100, tmp_path / "finder.log")
    rows = write_masks(Source(data / "pictures", out), out, finder, "picture", "table", 1, False)
    expected = [(row.image, row.mask and row.mask.name, row.area, row.doubts) for row in rows]
    assert len(expected) == 7
    assert all(one["masks"] == expected for one in found[0])
    shared = found[1] / "masks"
    assert (shared / "table.csv").read_text() == (out / "table.csv").read_text()
    assert (shared / "contact_sheet_1.png").stat().st_size > 1000
    assert BrightArea(100, found[1] / "finder.log").calls() == 7


def test_a_report_is_that_of_one_process_even_where_some_have_nothing_to_do(found, tmp_path):
    for number, n in enumerate((7, 2)):
        expected, out, shared = reported(tmp_path / str(n), n), tmp_path / str(n), found[1] / f"report {n}"
        assert [one["reports"][number] for one in found[0]] == [expected] * 3
        names = sorted(path.name for path in out.iterdir())
        assert sorted(path.name for path in shared.iterdir()) == names
        for name in names:
            assert name.endswith(".png") or (shared / name).read_text() == (out / name).read_text()


def test_an_audit_is_that_of_one_process(found):
    expected = audited(make_items(60))
    assert {one["tested"] for one in expected["findings"]} > {"background", "heatmaps", "blur"}
    for one in found[0]:
        assert one["audit"] == expected


def test_the_command_line_joins_the_processes(tmp_path):
    data, log = make_pictures(tmp_path / "data"), tmp_path / "log.txt"
    words = ["monai_debias", "masks", data, tmp_path / "out", "--workers", "1", "--noprogress"]
    assert processes.run_two(words, tmp_path, log) == [1, 0]  # the first tells that these pictures are no films
    assert log.read_text().count("none of 4 films has a usable mask") == 1
    assert len((tmp_path / "out" / "masks.csv").read_text().splitlines()) == 5


def test_other_commands_are_the_work_of_one_process(tmp_path):
    log = tmp_path / "log.txt"
    assert processes.run_two(["monai_debias", "doctor"], tmp_path, log) == [2, 2]
    assert "doctor is the work of one process: start it without torchrun, which only audit, masks" in log.read_text()
