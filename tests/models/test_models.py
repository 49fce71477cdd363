"""Built-in models: shapes, and that each learns one batch by heart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from stepkit.models.convnet import ConvNet
from stepkit.models.linear import Linear
from stepkit.models.mlp import MLP
from stepkit.models.transformer import Transformer

rows, image = torch.randn(8, 20), torch.randn(8, 3, 9, 7)
tokens = torch.randint(11, (8, 6))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


CASES: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    "linear": (lambda: Linear(20, 5), rows),
    "linear of images": (lambda: Linear(189, 5), image),
    "mlp": (lambda: MLP(20, 5), rows),
    "mlp of images": (lambda: MLP(189, 5, hidden=[16, 8]), image),
    "mlp, batch": (lambda: MLP(20, 5, normalization="batch"), rows),
    "mlp, layer": (lambda: MLP(20, 5, normalization="layer"), rows),
    "convnet": (lambda: ConvNet(3, 5, channels=[8, 16, 16]), image),
}


@pytest.mark.parametrize("name", CASES)
def test_scores_are_one_row_a_sample(name: str) -> None:
    make, x = CASES[name]
    assert make()(x).shape == (8, 5)


@pytest.mark.parametrize("name", CASES)
def test_one_batch_is_learnt_by_heart(name: str) -> None:
    make, x = CASES[name]
    assert learnt(make(), x, torch.arange(8) % 5) == 1


def test_the_transformer_learns_one_batch_by_heart() -> None:
    model = Transformer(11, 6, width=16, depth=2, heads=2)
    assert model(tokens).shape == (8, 6, 11)
    prompt = torch.cat([torch.arange(8)[:, None], tokens[:, 1:]], dim=1)  # told apart by the first token
    assert learnt(model, prompt, torch.randint(11, (8, 6))) == 1


def learnt(model: nn.Module, x: Tensor, y: Tensor, steps: int = 300) -> float:
    """The accuracy on a batch after training on it."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(model(x).movedim(-1, 1), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return float((model(x).argmax(dim=-1) == y).float().mean())


def test_the_transformer_sees_nothing_of_what_comes_after() -> None:
    model = Transformer(11, 6, width=16, depth=2, heads=2).eval()
    other = tokens.clone()
    other[:, 4] = (other[:, 4] + 1) % 11
    before, after = model(tokens), model(other)
    assert torch.allclose(before[:, :4], after[:, :4], atol=1e-6)
    assert not torch.allclose(before[:, 4:], after[:, 4:], atol=1e-3)


def test_the_transformer_tells_places_apart_and_takes_shorter_windows() -> None:
    model = Transformer(11, 6, width=16, depth=1, heads=2).eval()
    same = model(torch.zeros(1, 6, dtype=torch.int64))
    assert not torch.allclose(same[0, 0], same[0, 1])
    assert torch.allclose(model(tokens[:, :3]), model(tokens)[:, :3], atol=1e-6)


def test_the_attention_is_the_formula() -> None:
    """softmax(Q Kᵀ / √d) V, each row over itself and those before it: Vaswani et al. 2017, equation 1."""
    block = Transformer(11, 6, width=8, depth=1, heads=2).blocks[0]
    h = torch.randn(1, 6, 8)
    q, k, v = block.query_key_value(h)[0].chunk(3, dim=-1)  # type: ignore[operator]
    heads = []
    for columns in (slice(0, 4), slice(4, 8)):
        rows = []
        for t in range(6):
            weights = torch.softmax(k[: t + 1, columns] @ q[t, columns] / 4**0.5, dim=0)
            rows.append(weights @ v[: t + 1, columns])
        heads.append(torch.stack(rows))
    assert torch.allclose(block.attention(h)[0], block.merge(torch.cat(heads, dim=1)), atol=1e-6)  # type: ignore[operator]


def test_the_default_transformer_has_a_quarter_of_a_million_parameters() -> None:
    assert 200_000 < sum(p.numel() for p in Transformer(103, 64).parameters()) < 260_000


def test_a_width_that_the_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of heads=3"):
        Transformer(11, 6, width=16, heads=3)


@pytest.mark.parametrize("name", ["mlp", "convnet", "transformer"])
def test_dropout_acts_in_training_only(name: str) -> None:
    model, x = {
        "mlp": (MLP(20, 5, dropout=0.5), rows),
        "convnet": (ConvNet(3, 5, dropout=0.5), image),
        "transformer": (Transformer(11, 6, width=16, depth=1, heads=2, dropout=0.5), tokens),
    }[name]
    model.train()
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_an_mlp_without_hidden_layers_is_linear() -> None:
    model = MLP(20, 5, hidden=[])
    assert [p.shape for p in model.parameters()] == [(5, 20), (5,)]


def test_every_parameter_gets_a_gradient() -> None:
    for model, x in (*((make(), x) for make, x in CASES.values()), (Transformer(11, 6, width=16, heads=2), tokens)):
        model(x).square().sum().backward()
        assert all(p.grad is not None for p in model.parameters())
