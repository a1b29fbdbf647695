# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The files of an audit: a page to read, all numbers as JSON, and a table of the images."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from monai_debias.audit.page import page
from monai_debias.audit.run import Audit
from monai_debias.audit.sentences import headline, sentence
from monai_debias.files import replace_file, write_csv, write_json

__all__ = ["FILES", "as_json", "write_results"]

FILES = ("audit.html", "audit.json", "images.csv")


def write_results(audit: Audit, folder: str | os.PathLike, title: str = "model", hash_names: bool = False) -> None:
    """Write ``audit.html``, ``audit.json`` and ``images.csv``.

    Nothing of a patient is written but the names of the images' files and what is in the pixels.

    Args:
        audit: the result of an audit.
        folder: where to; it is made if it is missing.
        title: what the page calls the network.
        hash_names: whether to write a digest of each file name instead of the name.
    """
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    with replace_file(out / FILES[0]) as file:
        file.write(page(audit, title))
    write_json(out / FILES[1], as_json(audit, title, hash_names))
    rows = _rows(audit, hash_names)
    write_csv(out / FILES[2], list(rows[0]), [list(row.values()) for row in rows])


def as_json(audit: Audit, title: str = "model", hash_names: bool = False) -> dict[str, Any]:
    """All numbers of an audit, as ``schema.json`` in this folder describes them; without images.

    Args:
        audit: the result of an audit.
        title: what the network is called.
        hash_names: whether files that are left out have a digest instead of their name, and no reason.
    """
    subject = audit.subject
    findings = []
    for one in audit.findings:
        values = one.to_json()
        del values["evidence"], values["changes"]  # in the page and in the table
        findings.append({"headline": headline(one), "sentence": sentence(one), **values})
    known = subject.questions[0].classes >= 0
    return {
        "model": title,
        "task": subject.task,
        "class_names": subject.class_names,
        "images": len(subject),
        "patients": subject.n_patients,
        "images_with_mask": int(subject.has_mask.sum()),
        "attributes": sorted(subject.attributes),
        "accuracy": float(_right(audit)[known].mean()) if known.any() else None,
        "alpha": audit.alpha,
        "seed": subject.seed,
        "exit_code": audit.exit_code,
        "findings": findings,
        "not_checked": audit.not_checked,
        "notes": list(audit.notes),
        "left_out": [
            {"item": _name(one.file, hash_names), "reason": one.kind if hash_names else one.reason}
            for one in subject.left_out
        ],
    }


def _name(file: str, hash_names: bool) -> str:
    return hashlib.sha256(file.encode()).hexdigest()[:16] if hash_names and file else file


def _right(audit: Audit) -> np.ndarray:
    """Whether each image is recognised; False where the class is not known."""
    subject, question = audit.subject, audit.subject.questions[0]
    rows = np.flatnonzero(question.classes >= 0)
    right = np.zeros(len(subject), bool)
    right[rows] = question.right(subject.odds[rows], rows)
    return right


def _rows(audit: Audit, hash_names: bool) -> list[dict[str, Any]]:
    subject, question = audit.subject, audit.subject.questions[0]
    probabilities, decided = 1 / (1 + np.exp(-subject.odds)), question.decided(subject.odds)
    changes = {f"{one.check}: {one.tested}": dict(one.changes) for one in audit.findings if one.changes}
    rows = []
    for i, number in enumerate(subject.numbers):
        true = int(question.classes[i])
        rows.append(
            {
                "item": number,
                "file": _name(subject.files[i], hash_names),
                "label": question.class_names[true] if true >= 0 else "",
                "predicted": question.class_names[decided[i]],
                **{f"p_{n}": f"{p:.6f}" for n, p in zip(subject.outputs, probabilities[i], strict=True)},
                **{key: f"{found[number]:.6f}" if number in found else "" for key, found in changes.items()},
            }
        )
    return rows
