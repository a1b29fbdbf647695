# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What the tests of public objects share: which objects there are, how MONAI uses each kind, how results compare."""

from __future__ import annotations

import copy
import inspect
import io
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.metrics import Average, Metric
from matplotlib.figure import Figure
from monai.config import PathLike
from monai.data import ImageReader, list_data_collate
from monai.engines import SupervisedTrainer
from monai.handlers import from_engine
from monai.transforms import Lambdad, Randomizable, Transform

from monai_debias.attached import take_apart
from monai_debias.engines import PrepareBatchAttached
from monai_debias.inferers import ISNetInferer
from monai_debias.losses import ISNetLRPLoss
from tests.public_objects import example, parameters, public_exceptions, public_objects
from tests.samples import CLIP_FILE, make_network, make_samples

# dictionary transforms that have no array version: they decide about the keys of a sample
NO_ARRAY_VERSION = {"BlendBackgroundsd", "KeepMaskd", "BackMixWeightd", "FillMaskd", "LoadMaskd", "TryMaskd"}
# transforms of a whole batch
BATCH_LEVEL = {"BlendBackgroundsd", "MixBatch", "MixBatchd"}
# dictionary transforms that are meant for samples without the key, too
NO_KEY_NEEDED = {"BackMixWeightd", "LoadMaskd", "TryMaskd"}

EXCEPTIONS = public_exceptions()
OBJECTS = public_objects()
CLASSES = {path: value for path, value in OBJECTS.items() if inspect.isclass(value)}
FUNCTIONS = {path: value for path, value in OBJECTS.items() if not inspect.isclass(value)}
del FUNCTIONS["monai_debias.losses.nested_loss"]  # it returns an object, as a constructor does
TRANSFORMS = {path: value for path, value in CLASSES.items() if issubclass(value, Transform)}
DICTIONARY = {path: value for path, value in TRANSFORMS.items() if "data" in parameters(value.__call__)}
TWINS = {path: OBJECTS[path[:-1]] for path in DICTIONARY if path[:-1] in OBJECTS}

# the example values are small and simple, and the parts say so
EXPECTED_WARNINGS = [
    pytest.mark.filterwarnings("ignore:.*is taken as the patient"),
    pytest.mark.filterwarnings("ignore:the ultrasound sector was found in a still"),
    pytest.mark.filterwarnings("ignore:an ultrasound region reaches to"),
]


def each(objects: Mapping[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", sorted(objects), ids=lambda path: path.removeprefix("monai_debias."))


def arguments(thing: Any, folder: Path, kind: str = "still") -> dict[str, Any]:
    """What a function is called with, or an instance: a transform with parts of a sample, others with their example."""
    if isinstance(thing, Transform):
        sample, donor = make_samples(kind_for(type(thing), kind), 2)
        data = {**sample, "image": CLIP_FILE} if loads_files(thing) else sample
        parts = {"data": data, "img": sample["image"], "label": sample["label"], "mask": sample["mask"]}
        parts |= {"donor_img": donor["image"], "donor_mask": donor["mask"], "filename": CLIP_FILE}
        return {name: parts[name] for name in parameters(thing.__call__) if name in parts}
    if inspect.isfunction(thing):
        given = example(thing)
    else:
        given = example(type(thing), getattr(type(thing), "forward", type(thing).__call__))
    return given(folder) if callable(given) else given


def use(thing: Any, folder: Path, kind: str = "still", **changes: Any) -> Any:
    """Do with an object what MONAI does with its kind; returns what came out, in a form that can be compared."""
    if isinstance(thing, ImageReader):
        return content(thing.get_data(thing.read(**example(type(thing), type(thing).read))))
    if is_handler(thing):
        return train(thing, folder)
    return content(thing(**{**arguments(thing, folder, kind), **changes}))


def is_handler(thing: Any) -> bool:
    """Whether a class is one of handlers, or an instance is a handler."""
    return hasattr(thing, "attach")


def kind_for(cls: type, kind: str) -> str:
    """The kind of samples that a transform takes: a batch of them, if it is meant for one, or ECGs."""
    if cls.__module__.startswith("monai_debias.apps.ecg."):
        return "ecg"
    return f"batch of {kind}s" if cls.__name__ in BATCH_LEVEL else kind


def train(handler: Any, folder: Path, attached: bool = True) -> Any:
    """What an epoch with a copy of the handler leaves behind, or with its network, loss and inferer but without itself.

    The trainer decollates and post-processes like an evaluator, for the handlers that write reports. Its images are
    small: the whole sample with every fourth row and column.
    """
    shutil.rmtree(folder)
    folder.mkdir()
    handler = copy.deepcopy(handler)
    samples = [
        {**s, "image": s["image"][:, ::4, ::4], "mask": s["mask"][:, ::4, ::4]} for s in make_samples("still", 6)
    ]
    is_metric = attached and isinstance(handler, Metric)
    own = vars(handler)  # not getattr: an ignite metric has every attribute, as a metric
    network, loss = own.get("network", make_network()), own.get("loss", ISNetLRPLoss())
    trainer = SupervisedTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=[list_data_collate(samples)],
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        loss_function=loss,
        prepare_batch=PrepareBatchAttached(),
        inferer=own.get("inferer", ISNetInferer()),
        postprocessing=Lambdad("pred", lambda pred: pred.softmax(0)),
        key_train_metric={"metric": handler if is_metric else Average(from_engine(["loss"], first=True))},
        train_handlers=[handler] if attached and not is_metric else [],
    )
    torch.manual_seed(0)  # ISNetInferer draws from it, as dropout does
    trainer.run()
    files, metrics = sorted(file.name for file in folder.iterdir()), trainer.state.metrics
    kept = handler.state_dict() if hasattr(type(handler), "state_dict") else None
    return content([files, metrics, network.state_dict(), loss.state_dict(), loss.relevance_weight, kept])


def loads_files(thing: Any) -> bool:
    """Whether a dictionary transform finds file names under its keys."""
    twin = TWINS.get(f"{type(thing).__module__.rsplit('.', 1)[0]}.{type(thing).__name__}")
    return inspect.isclass(twin) and "filename" in parameters(twin.__call__)


def content(value: Any) -> Any:
    """Plain Python that equals another's if all values, types of elements and shapes are the same; files are read."""
    if isinstance(value, torch.Tensor) and (parts := take_apart(value)[1]):
        return content([take_apart(value)[0], parts])
    if isinstance(value, torch.Tensor | np.ndarray):
        array = np.asarray(value.detach() if isinstance(value, torch.Tensor) else value)
        return str(array.dtype), array.shape, array.tobytes()
    if isinstance(value, Mapping):
        return {key: content(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [content(item) for item in value]
    if isinstance(value, Figure):
        value.savefig(picture := io.BytesIO(), format="png")
        return picture.getvalue()
    is_path = isinstance(value, PathLike) and Path(value).is_absolute() and str(value) != CLIP_FILE  # no mere word
    if is_path and Path(value).is_file():
        return Path(value).read_bytes()
    if is_path and Path(value).is_dir():
        return {str(file.relative_to(value)): content(file) for file in Path(value).rglob("*") if file.is_file()}
    return "NaN" if value != value else value  # NaN does not equal itself


def seeded(thing: Any, seed: int) -> Any:
    return thing.set_random_state(seed) if isinstance(thing, Randomizable) else thing


def global_state() -> Any:
    return random.getstate(), content(list(np.random.get_state())), content(torch.get_rng_state())  # noqa: NPY002


def spoil_global_state(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)
