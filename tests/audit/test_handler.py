# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch
from ignite.engine import Engine

from monai_debias.audit import AuditHandler
from monai_debias.audit.checks import BackgroundUsed
from tests.audit.subjects import LooksAt, make_items
from tests.samples import NETWORK

EXAMPLES = {AuditHandler: [{"network": NETWORK, "dataset": "$donors", "output_dir": "$folder"}]}


def test_the_network_is_audited_as_it_is_at_the_end(tmp_path):
    network = LooksAt(corner=0.0)

    def learns_the_mark(engine: Engine, batch: int) -> None:
        network.load_state_dict(LooksAt(corner=8.0).state_dict())

    trainer = Engine(learns_the_mark)
    AuditHandler(network.train(), make_items(200), tmp_path, checks=[BackgroundUsed()]).attach(trainer)
    trainer.run([0])
    assert trainer.state.audit.exit_code == 3
    assert network.training
    assert "The network uses the background" in (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert len(trainer.state.audit.findings) == 1
    assert torch.equal(network.dense.weight, LooksAt(corner=8.0).dense.weight)
