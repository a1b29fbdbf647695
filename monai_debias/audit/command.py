# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The command ``monai-debias audit``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_debias.audit.checks import default_checks
from monai_debias.audit.items import AuditItems, attribute_names, with_dicom_tags
from monai_debias.audit.mask_files import refuse_other_datalist, write_allowed_masks
from monai_debias.audit.models import load_model
from monai_debias.audit.results import FILES, write_results
from monai_debias.audit.run import audit
from monai_debias.audit.sentences import headline, sentence, what_to_do
from monai_debias.data import load_datalist, test_sections
from monai_debias.data.datalist import read_datalist
from monai_debias.data.datalist_items import DATALIST_NAME, keys_without_path, resolve_paths
from monai_debias.data.found_masks.command import Source
from monai_debias.distributed import is_first, share_work
from monai_debias.files import make_writable

__all__ = ["audit_model"]


def audit_model(
    model: str,
    datalist: str,
    out: str,
    section: str | None = None,
    checkpoint: str | None = None,
    preprocessing: str | None = None,
    task: str | None = None,
    attributes: str | Sequence[str] | None = None,
    dicom_tags: str | Sequence[str] = (),
    reader: str | None = None,
    thresholds: float | Sequence[float] | None = None,
    significance: float = 0.01,
    batch_size: int = 32,
    seed: int = 0,
    title: str | None = None,
    hash_names: bool = False,
    write_masks: bool = False,
    overwrite: bool = False,
    **options: Any,
) -> None:
    """Ask whether a trained classifier uses a shortcut, how much it matters, and which images show it.

    It writes audit.html to read, audit.json with every number and images.csv with every image. It says at the start
    what can be checked with the masks and attributes that are there, and how long that takes; an audit that was
    interrupted goes on when the same command runs again. The exit code is 0 if no used shortcut was found, 3 if one
    was, 2 if the audit could not run or test for one.

    Args:
        model: the folder of a MONAI bundle, or a network as TorchScript (.ts), torch.export (.pt2) or ONNX (.onnx).
        datalist: the data-set directory; use images that the network has not been trained with.
        out: folder for the results.
        section: section of the datalist; by default the first whose name begins with "test".
        checkpoint: weights of a bundle, by default the only ones in its folder models.
        preprocessing: JSON file with the transforms of an exported network.
        task: softmax, binary or multi_label; by default what the model says, or softmax.
        attributes: names of attributes, by default all keys of the items that have a few values, or numbers.
        dicom_tags: keywords of DICOM tags that are attributes, such as Manufacturer.
        reader: dotted name of what reads the files as they are, for their properties and copies among those of the
            training; by default one for pictures, DICOM, NIfTI and arrays.
        thresholds: probability from which the answer is yes, of a binary or multi-label task.
        significance: α, the chance that a network without a shortcut is accused of one.
        batch_size: images at a time.
        seed: seed of all that is drawn.
        title: what the page calls the network, by default the name of its folder or file.
        hash_names: whether the table has a digest of each file name instead of the name.
        write_masks: whether to write masks of what may be looked at, and a datalist for a training with them.
        overwrite: whether results in the folder may be replaced.
        options: entries of the bundle's config to replace, such as --find_sectors False.
    """
    folder = Path(out).expanduser()
    there = [name for name in FILES if (folder / name).exists()]
    if there and not overwrite:
        raise FileExistsError(f"{folder / there[0]} exists already; pass --overwrite to replace it.")
    if write_masks:
        refuse_other_datalist(Source(datalist, folder), folder)
    logging.basicConfig(level=logging.INFO if is_first() else logging.ERROR, stream=sys.stdout, format="%(message)s")
    loaded = load_model(model, checkpoint, preprocessing, options)
    make_writable(folder)
    chosen = section or test_sections(datalist)[0]
    items: list[dict[str, Any]] = load_datalist(datalist, chosen, loaded.class_names)
    tags = _names(dicom_tags)
    items = share_work(lambda share: with_dicom_tags(share, tags), items) if tags else items
    names = attribute_names(items) if attributes is None else [*_names(attributes), *tags]
    found = audit(
        loaded.network,
        AuditItems(items, loaded.transform),
        task or loaded.task or "softmax",
        loaded.class_names or _labels(Path(datalist).expanduser()),
        names,
        loaded.normalize,
        thresholds,
        default_checks(_trained_with(Path(datalist).expanduser(), chosen), reader),
        significance,
        ignore_value=-1,
        batch_size=batch_size,
        seed=seed,
        folder=folder,
    )
    if not is_first():
        return
    write_results(found, folder, title or f"{Path(model).expanduser().resolve().name}, {chosen}", hash_names)
    for one in found.findings:
        if one.level != "described":
            print(" ".join(filter(None, [f"{headline(one)}:", sentence(one), what_to_do(one)])))
    print(f"wrote {folder / FILES[0]}")
    if write_masks:
        written = write_allowed_masks(found, datalist, folder, loaded.transform)
        none = "no masks: no stamp or patch was found, or all images have one"
        print(f"train with --dataset_dir {folder}" if written else none)
    if not any(one.level == "used" for one in found.findings):
        reasons = "; ".join(f"{name}: {why}" for name, why in found.not_checked.items())
        raise ValueError(f"nothing could be tested for a shortcut: {reasons}.")
    if found.exit_code:
        raise SystemExit(found.exit_code)


def _labels(folder: Path) -> list[str] | None:
    """The names of the classes in the datalist."""
    return list(read_datalist(folder / DATALIST_NAME)["labels"].values()) or None


def _trained_with(folder: Path, audited: str) -> list[Mapping[str, Any]]:
    """The items of all sections that are no tests; a damaged one is left to ``check``."""
    sections = read_datalist(folder / DATALIST_NAME).items()
    return [
        resolve_paths(item, folder)
        for name, items in sections
        if isinstance(items, list) and name != audited and not name.startswith("test")
        for item in items
        if isinstance(item, Mapping) and not keys_without_path(item)
    ]


def _names(given: str | Sequence[str]) -> list[str]:
    """Names from the command line, where one alone is a string, and several may be joined by commas."""
    return [name.strip() for name in given.split(",") if name.strip()] if isinstance(given, str) else list(given)
