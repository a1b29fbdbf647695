# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from monai_debias.audit import audit
from monai_debias.audit.checks import (
    AttributeEncoded,
    AttributePresent,
    AttributeUsed,
    BackgroundUsed,
    GlobalCues,
    PatchUsed,
    RegionFilled,
)
from tests.audit.subjects import looks_at, make_items

EXAMPLES = {
    audit: {
        "network": looks_at(10, 5),
        "dataset": make_items(40),
        "attributes": ["scanner"],
        "checks": [AttributeUsed(), BackgroundUsed()],
        "class_names": ["no finding", "finding"],
    }
}
TESTED = [AttributeUsed(), BackgroundUsed(), RegionFilled(), PatchUsed()]


def verdicts(found) -> dict[str, str]:
    return {f"{one.check} {one.tested}": one.verdict for one in found.findings}


def test_a_network_that_reads_the_mark_is_found_by_all_checks_and_one_that_does_not_by_none():
    items = make_items(300)
    used = audit(looks_at(10, 8), items, attributes=["scanner"], checks=TESTED)
    assert {one.check: one.verdict for one in used.findings if one.level == "used"} == {
        "attribute": "found",
        "background": "found",
        "patch": "found",
    }
    assert used.exit_code == 3
    clean = audit(looks_at(10, 0), items, attributes=["scanner"], checks=TESTED)
    assert [one.tested for one in clean.findings if one.verdict == "found"] == []
    assert clean.exit_code == 0
    background = next(one for one in clean.findings if one.check == "background")
    assert (background.effect, background.verdict) == (0.0, "not found")
    few = audit(looks_at(10, 0), items[:60], checks=[BackgroundUsed()]).findings[0]
    assert (few.effect, few.verdict) == (0.0, "too little data")  # 6 in 100 patients may differ where 0 of 60 do


def test_the_effect_is_what_an_exchange_of_all_backgrounds_costs():
    """With the mark of another class in each image, which the data have in bias 1 by construction."""
    items, network = make_items(300, bias=1.0), looks_at(10, 8)
    reversed_items = [{**item, "image": item["image"].clone()} for item in items]
    for item in reversed_items:
        item["image"][:, 14:, 14:] = 0.2 + 0.6 * (1 - item["label"])
    accuracy = [
        np.mean([int(network(item["image"][None]).argmax()) == item["label"] for item in some])
        for some in (items, reversed_items)
    ]
    (finding,) = audit(network, items, checks=[BackgroundUsed()]).findings
    assert finding.effect == pytest.approx(accuracy[0] - accuracy[1], abs=1e-9)
    assert finding.low <= finding.effect <= finding.high


def test_what_a_perfect_attribute_says_cannot_be_told():
    found = audit(looks_at(10, 8), make_items(100, bias=1.0), attributes=["scanner"], checks=TESTED)
    assert "goes with the class in every image" in found.not_checked["attribute"]


def test_features_tell_an_attribute_that_is_not_used():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.AvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(64, 2))
    network[2].weight.data.zero_()
    network[2].weight.data[1].reshape(8, 8)[2:6, 2:6] = 1.0
    found = audit(network, make_items(200), attributes=["scanner"], checks=[AttributeEncoded(), AttributeUsed()])
    assert [(one.level, one.verdict == "found") for one in found.findings] == [("encoded", True), ("used", False)]
    assert found.exit_code == 0


def test_what_is_present_in_the_data_is_no_finding_against_the_network():
    """The mark is the class in 9 of 10 patients, so that it tells 1 - H(0.1) = 0.53 of the label."""
    items = [{**item, "room": str(i % 3)} for i, item in enumerate(make_items(300))]
    found = audit(looks_at(10, 0), items, attributes=["scanner", "room"], checks=[AttributePresent()])
    scanner, room = found.findings
    assert (scanner.tested, scanner.level, scanner.verdict) == ("scanner", "present", "found")
    assert scanner.effect == pytest.approx(0.53, abs=0.1)
    assert (room.tested, room.verdict) == ("room", "not found")
    assert found.exit_code == 0


def test_one_answer_to_all_images_is_no_proof_that_nothing_is_used():
    def network(x):
        return looks_at(10, 8)(x) + torch.tensor([0.0, 50.0])

    found = audit(network, make_items(200), attributes=["scanner"], checks=[AttributeUsed(), BackgroundUsed()])
    assert any("decides for '1' in every image" in note for note in found.notes)
    background = next(one for one in found.findings if one.check == "background")
    assert (background.verdict, background.patients_needed) == ("too little data", None)
    assert "one answer to all images" in background.note


def test_it_says_what_it_cannot_check_and_goes_on_where_it_stopped(tmp_path, caplog):
    items = [{key: item[key] for key in ("image", "label")} for item in make_items(60)]
    items[3]["image"] = torch.full((1, 16, 16), torch.nan)
    del items[4]["label"]
    with caplog.at_level(logging.INFO):
        found = audit(looks_at(10, 8), items, checks=TESTED, folder=tmp_path)
    assert "about 1 min" in caplog.text
    assert "masks" in found.not_checked["background"]
    assert "attributes" in found.not_checked["attribute"]
    assert [(one.file, one.reason) for one in found.subject.left_out] == [
        ("item 3", "the image has NaN or infinite values"),
        ("item 4", "has no 'label', it has ['image']"),
    ]
    assert any("each image counts as a patient" in note for note in found.notes)
    (kept,) = (tmp_path / "checks").iterdir()
    before = kept.stat().st_mtime_ns
    again = audit(looks_at(10, 8), items, checks=TESTED, folder=tmp_path)
    assert again == found
    assert kept.stat().st_mtime_ns == before
    for damaged in (kept.read_bytes()[:-40], b"[{}]", b"\xff", b"7"):
        kept.write_bytes(damaged)
        assert audit(looks_at(10, 8), items, checks=TESTED, folder=tmp_path) == found
        assert f"{kept} cannot be read" in caplog.text
        caplog.clear()
    audit(looks_at(10, 4), items, checks=TESTED, folder=tmp_path)
    assert len(list((tmp_path / "checks").iterdir())) == 2  # other answers, another audit


@pytest.mark.parametrize(
    ("network", "change", "message"),
    [
        (lambda x: torch.zeros(len(x), 2), {}, "the same answer for all 20 images"),
        (
            lambda x: torch.full((len(x), 2), torch.nan),
            {},
            "NaN or infinite logits for 20 of 20 images",
        ),
        (lambda x: torch.rand(len(x), 3), {"class_names": ["a", "b"]}, "has 3 outputs, but class_names gives"),
        (lambda x: torch.rand(len(x)), {}, r"logits of shape \(20, K\), got \(20,\): .* not the class"),
        (lambda x: {"a": x, "b": x}, {}, r"logits of shape \(20, K\), got a dictionary of 'a', 'b': wrap it"),
        (lambda x: {}, {}, r"logits of shape \(20, K\), got an empty dictionary"),
        (torch.nn.Conv2d(3, 2, 1), {}, r"fails on images of shape \(20, 1, 16, 16\): .* to have 3 channels"),
        (torch.nn.Linear(256, 2, device="meta"), {}, "on the device 'meta', without weights"),
        (looks_at(1, 1), {"attributes": ["scaner"]}, r"no item has a value of the attribute 'scaner'; .*'scanner'"),
        (looks_at(1, 1), {"task": "binary"}, "2 outputs, but the task 'binary' has 1"),
        (looks_at(1, 1), {"checks": [AttributeUsed()]}, "nothing can be checked: attribute: it takes attributes"),
        (looks_at(1, 1), {"image_key": "scan"}, "none of the 20 images can be used: has no 'scan'"),
    ],
)
def test_unusable(network, change, message):
    with pytest.raises(ValueError, match=message):
        audit(network, make_items(20), **{"checks": [PatchUsed()], **change})


def test_labels_and_sizes_that_do_not_fit():
    items = make_items(20)
    with pytest.raises(ValueError, match="is none of the 2 classes"):
        audit(looks_at(1, 1), [*items, {**items[0], "label": 2}])
    with pytest.raises(ValueError, match="the label of item 20 is 'finding', expected a number"):
        audit(looks_at(1, 1), [*items, {**items[0], "label": "finding"}])
    with pytest.raises(ValueError, match=r"item 20 is None, expected .* ignore_value=-1"):
        audit(looks_at(1, 1), [*items, {**items[0], "label": None}])
    with pytest.raises(ValueError, match=r"item 20 is 'c', .* or one of class_names \(a, b\)"):
        audit(looks_at(1, 1), [*items, {**items[0], "label": "c"}], class_names=["a", "b"])
    with pytest.raises(ValueError, match=r"but item 0 has \(\) and item 20 has \(2,\)"):
        audit(looks_at(1, 1), [*items, {**items[0], "label": [1, 0]}])
    waves = {**items[0], "image": items[0]["image"].to(torch.complex64)}
    found = audit(looks_at(1, 1), [*items, waves], checks=[BackgroundUsed()])
    assert found.subject.left_out[0].reason.startswith("the image has complex values")
    with pytest.raises(ValueError, match="the image of item 20 is"):
        audit(looks_at(1, 1), [*items, {"image": torch.zeros(1, 8, 8), "label": 0}])


def test_classes_by_name():
    items, checks = make_items(40), [BackgroundUsed()]
    named = [{**item, "label": ["a", "b"][item["label"]]} for item in items]
    assert audit(looks_at(10, 8), named, class_names=["a", "b"], checks=checks) == audit(
        looks_at(10, 8), items, class_names=["a", "b"], checks=checks
    )


def test_an_age_that_is_not_always_known_is_a_number_and_what_is_the_same_everywhere_is_told():
    items = make_items(120)
    for i, item in enumerate(items):
        item |= {"age": None if i % 7 == 0 else 40.5 + i, "modality": "CR", "patient_id": float("nan") if i == 3 else i}
    found = audit(looks_at(10, 0), items, attributes=["age", "modality"], checks=[AttributeUsed()])
    assert found.subject.attributes["age"][1] == 41.5
    (age,) = found.findings
    assert age.details["strongest"].startswith("age = higher")
    assert any(note.endswith("nothing can be said of it: modality.") for note in found.notes)
    assert "in 1 of 120 images, each image counts as a patient" in found.notes[0]
    assert found.subject.n_patients == 120


def test_attributes_that_divide_the_images_alike_are_one():
    items = [{**item, "bits": {"A": 8, "B": 12}[item["scanner"]]} for item in make_items(120)]
    found = audit(looks_at(10, 8), items, attributes=["scanner", "bits"], checks=[AttributeUsed()])
    alone = audit(looks_at(10, 8), items, attributes=["scanner"], checks=[AttributeUsed()])
    assert found.findings == alone.findings
    assert any("scanner, bits: the same groups of images" in note for note in found.notes)


def test_attributes_of_any_kind():
    items = make_items(40)
    values = [10**400, float("inf"), torch.tensor([1, 2]), torch.tensor([0.5]), [3], None, "東京 <b>"]
    for number, item in enumerate(items):
        item[7] = values[number % len(values)]
    found = audit(looks_at(10, 5), items, attributes=[7], checks=[BackgroundUsed()])
    assert sorted(set(found.subject.attributes["7"].tolist())) == sorted(
        ["", "1" + "0" * 400, "[1, 2]", "0.5", "3", "東京 <b>"]
    )


def test_masks_that_cover_everything_count_as_none():
    items = make_items(40)
    for item in items[:10]:
        item["mask"] = torch.ones(1, 16, 16)
    found = audit(looks_at(10, 8), items, checks=[BackgroundUsed()])
    assert found.findings[0].details["images"] <= 30
    assert any("10 of 40 images have no mask" in note for note in found.notes)
    with pytest.raises(ValueError, match="nothing can be checked: background: it takes masks"):
        audit(looks_at(10, 8), items[:10], checks=[BackgroundUsed()])


def test_other_masks_are_another_audit(tmp_path):
    items, checks = make_items(40), [BackgroundUsed()]
    audit(looks_at(10, 8), items, checks=checks, folder=tmp_path)
    covered = [{**item, "mask": torch.ones(1, 16, 16)} for item in items]
    for item in covered:
        item["mask"][:, 3:13, :3] = 0
    found = audit(looks_at(10, 8), covered, checks=checks, folder=tmp_path)
    assert found.findings[0].effect == 0.0  # the mark is in the region now, and the first result is not taken


def test_a_check_whose_changed_images_give_nan_is_left_out():
    def network(x):
        return looks_at(10, 8)(x) + torch.where(x[:, :, 0, 0] == 0.25, 0.0, torch.nan)

    found = audit(network, make_items(40), checks=[BackgroundUsed(), GlobalCues(most=8)])
    assert [one.check for one in found.findings] == ["background"]
    assert "NaN or infinite logits for images that are changed" in found.not_checked["global cues"]


def test_a_network_that_is_worse_than_chance():
    found = audit(looks_at(-10, 0), make_items(40), checks=[BackgroundUsed()])
    assert any("and chance 50%: are labels and outputs in the same order?" in note for note in found.notes)
    right = audit(looks_at(10, 0), make_items(40), checks=[BackgroundUsed()])
    assert not any("same order" in note for note in right.notes)


def test_one_class():
    items = [{**item, "label": 0} for item in make_items(40)]
    found = audit(looks_at(10, 8), items, checks=[BackgroundUsed()])
    assert "two classes" in found.not_checked["background"]
    assert any("one class" in note for note in found.notes)


@pytest.mark.parametrize("spatial", [(32,), (8, 8, 8)])
def test_signals_and_volumes_of_binary_and_multi_label_tasks(spatial):
    rng = np.random.default_rng(0)
    items = []
    for i in range(40):
        image, mask = rng.normal(0, 0.1, (1, *spatial)).astype(np.float32), np.ones((1, *spatial), np.uint8)
        image[:, :2] += i % 2
        mask[:, :4] = 0
        label = torch.tensor([i % 2, i // 2 % 2])
        items.append({"image": torch.from_numpy(image), "mask": torch.from_numpy(mask), "label": label})
    found = audit(lambda x: (4 * x[:, 0, :2].flatten(1).mean(1, keepdim=True) - 2).expand(-1, 2), items, "multi_label")
    by_name = {one.tested: one for one in found.findings if one.check == "background"}
    assert by_name["background (0)"].effect == 1.0
    assert abs(by_name["background (1)"].effect) < 0.3
    binary = [{**item, "label": item["label"][0]} for item in items]
    found = audit(lambda x: 4 * x[:, 0, :2].flatten(1).mean(1, keepdim=True) - 2, binary, "binary")
    assert {one.check for one in found.findings} >= {"background", "patch", "global cues", "region filled"}
    assert found.exit_code == 3
