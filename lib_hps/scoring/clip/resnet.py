"""CLIP's modified ResNet (Radford et al. 2021, section 2.4): three-convolution stem, average pools before every
downsampling convolution, and attention in place of the last pool. Parameter names are open_clip's."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from lib_hps.scoring.clip.config import VisionConfig

EXPANSION = 4


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)


class Bottleneck(nn.Module):
    """1x1, 3x3, [average pool], 1x1 convolutions beside a shortcut: (N, C, H, W) -> (N, 4 planes, H/s, W/s)."""

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        outputs = planes * EXPANSION
        self.conv1, self.bn1 = _conv(inputs, planes, 1), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = _conv(planes, planes, 3), nn.BatchNorm2d(planes)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3, self.bn3 = _conv(planes, outputs, 1), nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride > 1 or inputs != outputs:
            # "-1", "0", "1" are the names in published state dicts
            named = [("-1", nn.AvgPool2d(stride)), ("0", _conv(inputs, outputs, 1)), ("1", nn.BatchNorm2d(outputs))]
            self.downsample = nn.Sequential(OrderedDict(named))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) -> (N, 4 planes, H/s, W/s)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        x = self.bn3(self.conv3(self.pool(x)))
        return F.relu(x + shortcut, inplace=True)


class AttentionPool(nn.Module):
    """Attention whose one query is the mean of all positions: (N, C, G, G) -> (N, embed_dim)."""

    def __init__(self, grid: int, width: int, heads: int, embed_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.empty(grid * grid + 1, width))
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.c_proj = nn.Linear(width, embed_dim)

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """(N, L, C) -> (N, heads, L, C / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, G, G) -> (N, embed_dim)."""
        x = x.flatten(2).transpose(1, 2)  # (N, G*G, C)
        x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1) + self.positional_embedding  # (N, 1 + G*G, C)
        q, k, v = self.q_proj(x[:, :1]), self.k_proj(x), self.v_proj(x)
        y = F.scaled_dot_product_attention(self._split(q), self._split(k), self._split(v))  # (N, heads, 1, C / heads)
        return self.c_proj(y.flatten(1))


class ModifiedResNet(nn.Module):
    """The image tower of RN50 to RN50x64: normalised pixels (N, 3, S, S) -> features (N, embed_dim)."""

    def __init__(self, config: VisionConfig, embed_dim: int) -> None:
        super().__init__()
        width = config.width
        stages = config.layers if isinstance(config.layers, tuple) else ()
        self.conv1, self.bn1 = _conv(3, width // 2, 3, stride=2), nn.BatchNorm2d(width // 2)
        self.conv2, self.bn2 = _conv(width // 2, width // 2, 3), nn.BatchNorm2d(width // 2)
        self.conv3, self.bn3 = _conv(width // 2, width, 3), nn.BatchNorm2d(width)
        planes = [width * 2**stage for stage in range(len(stages))]
        inputs = [width, *(p * EXPANSION for p in planes)]
        built = [
            nn.Sequential(
                Bottleneck(entering, p, stride=1 if stage == 0 else 2),
                *(Bottleneck(leaving, p, stride=1) for _ in range(count - 1)),
            )
            for stage, (p, count, (entering, leaving)) in enumerate(zip(planes, stages, pairwise(inputs), strict=True))
        ]
        self.layer1, self.layer2, self.layer3, self.layer4 = built
        self.attnpool = AttentionPool(config.grid, width * 32, config.heads, embed_dim)

    @property
    def stages(self) -> list[nn.Sequential]:
        """The four groups of blocks, from the input to the output."""
        return [self.layer1, self.layer2, self.layer3, self.layer4]

    def stem(self, pixels: torch.Tensor) -> torch.Tensor:
        """What enters the first stage: (N, 3, S, S) -> (N, width, S/4, S/4)."""
        x = F.relu(self.bn1(self.conv1(pixels)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        x = F.relu(self.bn3(self.conv3(x)), inplace=True)
        return F.avg_pool2d(x, 2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, 3, S, S) -> (N, embed_dim)."""
        x = self.stem(pixels)
        for stage in self.stages:
            x = stage(x)
        return self.attnpool(x)  # of (N, 32 width, S/32, S/32)

    @torch.no_grad()
    def init_weights(self) -> None:
        """open_clip's initialisation; convolutions and norms keep PyTorch's own."""
        pool = self.attnpool
        std = pool.c_proj.in_features**-0.5
        nn.init.normal_(pool.positional_embedding, std=std)
        for projection in (pool.q_proj, pool.k_proj, pool.v_proj, pool.c_proj):
            nn.init.normal_(projection.weight, std=std)
        for module in self.modules():
            if isinstance(module, Bottleneck):
                nn.init.zeros_(module.bn3.weight)
