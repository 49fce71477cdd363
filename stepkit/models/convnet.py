"""A small convolutional network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class ConvNet(nn.Module):
    """Images x [N, in_channels, height, width] to scores [N, out_features].

    Each block is convolution 3 x 3, batch normalization, ReLU; between two blocks the image is halved. The
    mean over what is left of the image goes into one linear layer, so images of any size fit that can be halved.

    Args:
        channels: of each block.
        dropout: probability of zeroing a feature before the linear layer while training.
    """

    def __init__(
        self, in_channels: int, out_features: int, channels: Sequence[int] = (32, 64), dropout: float = 0.0
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for number, (fan_in, fan_out) in enumerate(pairwise([in_channels, *channels])):
            if number:
                blocks.append(nn.MaxPool2d(2))
            blocks += [nn.Conv2d(fan_in, fan_out, 3, padding=1, bias=False), nn.BatchNorm2d(fan_out), nn.ReLU()]
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear([in_channels, *channels][-1], out_features)

    def forward(self, x: Tensor) -> Tensor:
        features = self.blocks(x).mean(dim=(2, 3))  # [N, channels[-1]]
        return self.head(self.dropout(features))  # type: ignore[no-any-return]
