# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""A batch for an ISNet: masks for the loss, and for the inferer which rows have one."""

from __future__ import annotations

from typing import Any

import torch
from monai.engines import PrepareBatch

from monai_debias.engines.prepare_batch import PrepareBatchTargets
from monai_debias.parameters import KEY, expects

__all__ = ["PrepareBatchISNet"]


class PrepareBatchISNet(PrepareBatch):
    """``prepare_batch`` of a MONAI trainer that gives ``ISNetLRPLoss`` and ``ISNetInferer`` what they need.

    Where only some samples have a mask, ``FillMaskd`` writes the flags that tell which; then only these rows are
    explained. Training with such batches is an extension of this project. Without a flag every sample has a mask.
    Where Flow-Mixup has given the batch labels of more rows than it has images, only the images are explained.

    Args:
        image_key: key of the network's input, (B, C, spatial...).
        label_key: key of the labels, (B,) or, for multi-label tasks, (B, K).
        mask_key: key of the masks, (B, 1, spatial...).
        flag_key: key of the bool flags, (B,); a batch may lack it.

    Raises:
        KeyError: when the batch lacks the image, the label or the mask.
        TypeError: when the flags are not bool.
        ValueError: when the flags are not of shape (B,).

    Example:
        >>> import torch
        >>> batch = {"image": torch.rand(3, 1, 8, 8), "label": torch.tensor([0, 1, 1])}
        >>> batch |= {"mask": torch.ones(3, 1, 8, 8), "has_mask": torch.tensor([True, False, True])}
        >>> image, target, args, kwargs = PrepareBatchISNet()(batch, device="cpu")
        >>> sorted(target), kwargs["rows"]
        (['has_mask', 'label', 'mask'], tensor([0, 2]))
    """

    @expects(image_key=KEY, label_key=KEY, mask_key=KEY, flag_key=KEY)
    def __init__(
        self, image_key: str = "image", label_key: str = "label", mask_key: str = "mask", flag_key: str = "has_mask"
    ) -> None:
        self.image_key = image_key
        self.label_key = label_key
        self.mask_key = mask_key
        self.flag_key = flag_key

    def __call__(
        self,
        batchdata: dict[str, torch.Tensor],
        device: str | torch.device | None = None,
        non_blocking: bool = False,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor], tuple, dict[str, Any]]:
        """Return what a trainer takes apart into the input, the target, and the inferer's arguments.

        Returns:
            ``(image, {"label", "mask"[, "has_mask"]}, (), {"rows", "labels"})``, moved to ``device``; ``rows`` are the
            indices of the samples that have a mask, None when all rows have one. Only a target of the inferer that asks
            for labels uses ``labels``.
        """
        move: dict[str, Any] = {"device": device, "non_blocking": non_blocking}
        prepare = PrepareBatchTargets([self.label_key, self.mask_key], self.image_key)
        image, found = prepare(batchdata, **move, **kwargs)
        target = {"label": found[self.label_key], "mask": found[self.mask_key]}
        rows = torch.arange(len(image), device=device) if len(target["label"]) > len(image) else None
        if self.flag_key in batchdata:
            flag = torch.as_tensor(batchdata[self.flag_key])
            if flag.dtype != torch.bool:
                raise TypeError(f"the flags {self.flag_key!r} must be bool, as from FillMaskd, got {flag.dtype}.")
            if flag.shape != (len(image),):
                raise ValueError(f"the flags {self.flag_key!r} must be ({len(image)},), got {tuple(flag.shape)}.")
            if not bool(flag.all()):
                rows = flag.nonzero().flatten().to(**move)
            target["has_mask"] = flag.to(**move)
        return image, target, (), {"rows": rows, "labels": target["label"]}
