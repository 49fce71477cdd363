"""A decoder-only transformer (Vaswani et al. 2017; normalization before each part as in GPT-2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention


class Transformer(nn.Module):
    """Tokens x [N, T], T <= context_length, to scores of the token after each one, [N, T, vocab_size]."""

    def __init__(
        self,
        vocab_size: int,
        context_length: int,
        width: int = 64,
        depth: int = 4,
        heads: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width={width} must be a multiple of heads={heads}")
        self.token = nn.Embedding(vocab_size, width)
        self.position = nn.Parameter(0.02 * torch.randn(context_length, width))
        self.blocks = nn.Sequential(*(Block(width, heads, dropout) for _ in range(depth)))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, vocab_size))

    def forward(self, x: Tensor) -> Tensor:
        h = self.token(x) + self.position[: x.shape[1]]  # [N, T, width]
        return self.head(self.blocks(h))  # type: ignore[no-any-return]


class Block(nn.Module):
    """What one token learns from those before it (attention), then what it makes of that (mlp): [N, T, width]."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.dropout(self.attention(self.norm(h)))
        return h + self.dropout(self.mlp(h))  # type: ignore[no-any-return]

    def attention(self, h: Tensor) -> Tensor:
        qkv = self.query_key_value(h).chunk(3, dim=-1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in qkv)
        seen = scaled_dot_product_attention(q, k, v, is_causal=True)  # [N, heads, T, width / heads]
        return self.merge(seen.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]
