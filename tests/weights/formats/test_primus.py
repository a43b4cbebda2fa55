"""Primus: its encoder gives the features of the original, computed anew token by token from their facts."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import modelsgenesis as mg
from modelsgenesis.core.errors import WeightsError
from modelsgenesis.nets import Primus
from modelsgenesis.weights.loading import load_weights

TOLERANCE = 1e-4
EMBED, HEADS, DEPTH, PATCH, HIDDEN = 48, 2, 2, 4, 128
SIDES = (8, 4, 12)  # along Z, Y and X
GRID = (2, 1, 3)


def made_state(*, layer_scale: bool = True, norm_inner: bool = True) -> dict[str, Tensor]:
    """Random tensors under all names of dynamic-network-architectures 0.4.4, its decoder among them."""
    generator = torch.Generator().manual_seed(0)
    shapes: dict[str, tuple[int, ...]] = {
        "mask_token": (1, 1, EMBED),
        "down_projection.proj.weight": (EMBED, 1, PATCH, PATCH, PATCH),
        "down_projection.proj.bias": (EMBED,),
        "up_projection.decode.0.0.weight": (EMBED, 8, 2, 2, 2),
        "eva.pos_embed": (1, GRID[0] * GRID[1] * GRID[2], EMBED),
        "eva.norm.weight": (EMBED,),
        "eva.norm.bias": (EMBED,),
    }
    for block in range(DEPTH):
        within = {
            **{f"{norm}.{end}": (EMBED,) for norm in ("norm1", "norm2") for end in ("weight", "bias")},
            **{f"attn.{part}_proj.weight": (EMBED, EMBED) for part in "qkv"},
            **{f"attn.{part}_proj.bias": (EMBED,) for part in "qv"},
            **({f"attn.norm.{end}": (EMBED,) for end in ("weight", "bias")} if norm_inner else {}),
            "attn.proj.weight": (EMBED, EMBED),
            "attn.proj.bias": (EMBED,),
            **{f"mlp.{part}.weight": (HIDDEN, EMBED) for part in ("fc1_g", "fc1_x")},
            **{f"mlp.{part}.bias": (HIDDEN,) for part in ("fc1_g", "fc1_x", "norm")},
            "mlp.norm.weight": (HIDDEN,),
            "mlp.fc2.weight": (EMBED, HIDDEN),
            "mlp.fc2.bias": (EMBED,),
            **({f"gamma_{k}": (EMBED,) for k in (1, 2)} if layer_scale else {}),
        }
        shapes |= {f"eva.blocks.{block}.{name}": shape for name, shape in within.items()}
    return {name: torch.randn(shape, generator=generator) * 0.2 for name, shape in shapes.items()}


def checkpoint(state: dict[str, Tensor], prefix: str = "") -> dict[str, Any]:
    """What a trainer of nnssl saves of Primus-M: a name without numbers, and how the cubes were made."""
    configuration = {
        "normalization_schemes": ["ZScoreNormalization"], "use_mask_for_norm": False, "spacing": [1, 1, 1],
        "patch_size": list(SIDES),
    }  # fmt: skip
    return {
        "network_weights": {prefix + name: tensor for name, tensor in state.items()},
        "nnssl_adaptation_plan": {
            "architecture_plans": {
                "arch_class_name": "PrimusM", "arch_kwargs": None, "arch_kwargs_requiring_import": None,
            },
            "pretrain_plan": {
                "dataset_name": "Dataset745_OpenMind", "plans_name": "nnsslPlans", "transpose_forward": [0, 1, 2],
                "configurations": {"onemmiso": configuration},
            },
            "key_to_encoder": "eva", "key_to_stem": "down_projection", "key_to_lpe": "eva.pos_embed",
        },
    }  # fmt: skip


def features(state: dict[str, Tensor], image: Tensor) -> Tensor:
    """(1, Z, Y, X) -> the tokens' features, (Z / patch, Y / patch, X / patch, EMBED), in float64."""
    own = {name: tensor.double() for name, tensor in state.items()}
    boxes = image.double().reshape(GRID[0], PATCH, GRID[1], PATCH, GRID[2], PATCH).permute(0, 2, 4, 1, 3, 5)
    x = boxes.reshape(-1, PATCH**3) @ own["down_projection.proj.weight"].reshape(EMBED, -1).T
    x = x + own["down_projection.proj.bias"] + own["eva.pos_embed"][0]
    places = torch.cartesian_prod(*(torch.arange(side) for side in GRID))  # (tokens, 3)
    bands = EMBED // HEADS // 6
    waves = 10_000.0 ** -(torch.arange(bands).double() / bands)
    angles = (places[:, :, None] * waves).reshape(len(places), -1)  # (tokens, 3 * bands)
    for block in range(DEPTH):
        x = block_of({name.removeprefix(f"eva.blocks.{block}."): tensor for name, tensor in own.items()}, x, angles)
    return functional.layer_norm(x, (EMBED,), own["eva.norm.weight"], own["eva.norm.bias"]).reshape(*GRID, EMBED)


def block_of(own: dict[str, Tensor], x: Tensor, angles: Tensor) -> Tensor:
    """One block: attention with queries and keys turned in the complex plane, and a gated dense layer."""

    def normed(values: Tensor, name: str) -> Tensor:
        return functional.layer_norm(values, values.shape[-1:], own[f"{name}.weight"], own[f"{name}.bias"])

    def turned(values: Tensor) -> Tensor:
        pairs = torch.view_as_complex(values.reshape(len(values), -1, 2).contiguous())
        return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(1)

    y = normed(x, "norm1")
    q = y @ own["attn.q_proj.weight"].T + own["attn.q_proj.bias"]
    k, v = y @ own["attn.k_proj.weight"].T, y @ own["attn.v_proj.weight"].T + own["attn.v_proj.bias"]
    size, mixed = EMBED // HEADS, []
    for head in range(HEADS):
        part = slice(head * size, (head + 1) * size)
        weights = (turned(q[:, part]) @ turned(k[:, part]).T / size**0.5).softmax(dim=1)
        mixed.append(weights @ v[:, part])
    y = torch.cat(mixed, dim=1)
    y = normed(y, "attn.norm") if "attn.norm.weight" in own else y
    x = x + own.get("gamma_1", 1) * (y @ own["attn.proj.weight"].T + own["attn.proj.bias"])
    y = normed(x, "norm2")
    gate = functional.silu(y @ own["mlp.fc1_g.weight"].T + own["mlp.fc1_g.bias"])
    y = normed(gate * (y @ own["mlp.fc1_x.weight"].T + own["mlp.fc1_x.bias"]), "mlp.norm")
    return x + own.get("gamma_2", 1) * (y @ own["mlp.fc2.weight"].T + own["mlp.fc2.bias"])


@pytest.mark.parametrize(
    ("prefix", "plain"), [("", False), ("module.", False), ("", True)], ids=["as saved", "of DDP", "bare blocks"]
)
def test_encoder_gives_the_features_of_the_original(prefix: str, plain: bool, tmp_path: Path) -> None:
    """In our axes and our [0, 1], z-scored as the plan says; the decoder beside it is not taken."""
    state = made_state(layer_scale=not plain, norm_inner=not plain)
    torch.save(checkpoint(state, prefix), tmp_path / "file")
    found = load_weights(tmp_path / "file")
    assert isinstance(found.network, Primus)
    assert (found.network.grid, found.size) == (GRID, SIDES[::-1])
    assert found.reading is not None
    assert found.reading.spacing_mm == (1.0, 1.0, 1.0)
    low, high = found.reading.intensity.low, found.reading.intensity.high  # type: ignore[union-attr]
    image = torch.rand(1, 1, *SIDES[::-1], generator=torch.Generator().manual_seed(1))
    wanted = features(state, image[0].permute(0, 3, 2, 1) * (high - low) + low)
    with torch.no_grad():
        own = mg.load(tmp_path / "file").encode(image)[-1][0]  # (EMBED, X, Y, Z)
    torch.testing.assert_close(own.permute(3, 2, 1, 0).double(), wanted, atol=TOLERANCE, rtol=TOLERANCE)
    assert wanted.std() > 0.1
    assert found.report.shares == {"encoder": 1.0, "decoder": 0.0, "head": 0.0}
    assert set(found.report.unused) == {f"{prefix}mask_token", f"{prefix}up_projection.decode.0.0.weight"}


def test_encoder_is_that_of_the_package(tmp_path: Path) -> None:
    """dynamic-network-architectures' own network, where timm, which it needs, is installed."""
    theirs = pytest.importorskip("dynamic_network_architectures.architectures.primus", exc_type=ImportError)
    torch.manual_seed(0)
    original = theirs.Primus(1, EMBED, (8, 8, 8), 1, DEPTH, HEADS, (16, 16, 16), init_values=0.1, scale_attn_inner=True)
    with torch.no_grad():
        for parameter in original.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    torch.save({"network_weights": original.state_dict()}, tmp_path / "file")
    image = torch.rand(2, 1, 16, 16, 16)
    with torch.no_grad():
        tokens, _ = original.eval().eva(original.down_projection(image.permute(0, 1, 4, 3, 2)).flatten(2).mT)
        own = mg.load(tmp_path / "file").encode(image)[-1]
    wanted = tokens.mT.unflatten(2, (2, 2, 2)).permute(0, 1, 4, 3, 2)
    torch.testing.assert_close(own, wanted, atol=TOLERANCE, rtol=TOLERANCE)


def test_larger_volumes_are_spread_over_the_same_places(tmp_path: Path) -> None:
    """Of a volume whose patches are each the same, a grid twice as fine has the places of the first between its own."""
    torch.manual_seed(0)
    network = Primus(embed=12, depth=1, heads=1, patch=4, grid=(2, 2, 2)).eval()
    with torch.no_grad():
        assert network.encode(torch.rand(1, 1, 16, 8, 12))[-1].shape == (1, 12, 4, 2, 3)
        places = network.encoder.eva._places((4, 4, 4))
    assert torch.allclose(places.mean(dim=(2, 3, 4)), network.encoder.eva.pos_embed.mean(dim=1), atol=1e-6)


@pytest.mark.parametrize(
    ("lost", "added", "why"),
    [
        ("down_projection.proj.weight", "down_projection.stem.blocks.0.conv1.conv.weight", "of the first version"),
        ("eva.blocks.1.mlp.fc2.bias", "other", "holds nothing for"),
        ("eva.blocks.1.attn.v_proj.weight", "other", "holds nothing for"),
        ("other", "eva.blocks.0.attn.q_norm.weight", "holds eva.blocks.0.attn.q_norm.weight too"),
        ("eva.pos_embed", "other", "is cut down"),
    ],
)  # fmt: skip
def test_another_kind_is_refused_by_name(lost: str, added: str, why: str, tmp_path: Path) -> None:
    """Primus V2 and V3 embed patches by convolutions; what is cut down, or has more than is read, is not guessed at."""
    state = made_state()
    state.pop(lost, None)
    torch.save(checkpoint({**state, added: torch.zeros(EMBED)}), tmp_path / "file")
    with pytest.raises(WeightsError, match=why):
        load_weights(tmp_path / "file")


def test_grid_that_nothing_tells_is_refused(tmp_path: Path) -> None:
    """Six patches are no cube, and without a plan nothing says how they lie."""
    torch.save({"network_weights": made_state()}, tmp_path / "file")
    with pytest.raises(WeightsError, match="6 rows, which are no cube"):
        load_weights(tmp_path / "file")
