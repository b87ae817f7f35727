"""Nets on their device in the order of memory that its convolutions want."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import nn

Net = TypeVar("Net", bound=nn.Module)


def placed(net: Net, device: torch.device | str, layout: torch.memory_format = torch.channels_last) -> Net:
    """The net itself, its weights brought to a device and into an order of memory."""
    to: Any = net.to  # torch's own types leave `memory_format` out
    moved: Net = to(device, memory_format=layout)
    return moved
