# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The commands and options in README, guides and notebooks exist, with their words, config files and keys."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from monai_debias.overlays import overlays
from tests.docs.commands import BUNDLES, check_command, commands, has_key, known_options, of_trainings, options
from tests.docs.test_links import PAGES, ROOT, text

# but the history, which has what is no more
EVERY_PAGE = pytest.mark.parametrize(
    "page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: str(page.relative_to(ROOT))
)


@pytest.fixture(scope="module", name="bundles")
def fixture_bundles(tmp_path_factory) -> list[Path]:
    """Ours, and those that were not made for this package."""
    guests = shutil.copytree(ROOT / "tests" / "bundles" / "guests", tmp_path_factory.mktemp("guests") / "bundles")
    for guest in guests.iterdir():
        overlays(guest)
    return [*BUNDLES, *guests.iterdir()]


@pytest.fixture(scope="module", name="trainings")
def fixture_trainings(bundles) -> dict[Path, list[ConfigParser]]:
    return {bundle: of_trainings(bundle) for bundle in bundles}


def meant(page: Path, bundles: list[Path]) -> list[Path]:
    """The bundle that a page is about, or all."""
    return [bundle for bundle in bundles if page.is_relative_to(bundle)] or bundles


@EVERY_PAGE
def test_the_commands_of_a_page_would_begin(page, bundles):
    for words in commands(text(page)):
        check_command(words, meant(page, bundles))


@EVERY_PAGE
def test_the_options_of_a_page_exist(page, bundles, trainings):
    unknown = options(text(page)) - known_options(text(page), meant(page, bundles))
    configs = [config for bundle in meant(page, bundles) for config in trainings[bundle]]
    assert {name for name in unknown if not any(has_key(config, name) for config in configs)} == set()


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        ("`monai-debias chekc DIR`", "chekc"),
        ("`monai-debias check DIR --sectoin test`", "sectoin"),
        ("    monai-debias demo-data echo DIR --bias 0.5\n\nsee `monai-debias check`,\n`monai-debias chcek`", "chcek"),
        ("```\npython -m monai_debias bundles copy ecg\n```", "folder"),
        ("    python -m monai.bundle run --config_file configs/trian.json\n", "trian.json"),
        ("```bash\npython -m monai.bundle run \\\n  --config_file configs/train.json --max_epoch 3\n```", "max_epoch"),
        ("`torchrun --nproc_per_node=2 -m monai.bundle runn`", "runn"),
        ("`python -m benchmarks.evidense`", "benchmarks.evidense"),
        ("`python -m benchmarks.evidence biased_mnist --seed 5`", "--seed"),
        ("`make tset`", "tset"),
        ("`pip install 'monai-debias[demo,vidio]'`", "vidio"),
    ],
)
def test_what_does_not_exist_would_be_found(shown, said):
    *before, command = commands(f"Text.\n\n{shown}")
    for words in before:
        check_command(words, BUNDLES)
    with pytest.raises(ValueError, match=said):
        check_command(command, BUNDLES)
