"""A Vision Transformer computes what the published ones do, at any size that its patches divide, and learns."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.nets.vit import ViT

State = dict[str, Tensor]
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "without-class-token": {"class_token": False},
    "dino": {"layer_scale": True},
    "eva": {"rotary": True, "gated": True, "hidden": 20},
    "eva-base": {"rotary": True, "gated": True, "hidden": 20, "norm_hidden": True},
}


def tiny(**changed: Any) -> ViT:
    """Four blocks of two heads, nothing at its plain beginning."""
    torch.manual_seed(0)
    settings = {"embed": 16, "depth": 4, "heads": 2, "patch": 4, "grid": 3, "in_channels": 3, "width": 8}
    network = ViT(**{**settings, **changed}).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def normed(state: State, name: str, x: Tensor) -> Tensor:
    """A layer norm over the last axis."""
    return functional.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-6)


def dense(state: State, name: str, x: Tensor) -> Tensor:
    """A dense layer."""
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def cubic(old: int, new: int) -> Tensor:
    """Keys' cubic convolution with a = -0.75 along one axis, borders repeated: (new, old)."""

    def weight(far: float) -> float:
        far = abs(far)
        if far <= 1:
            return 1.25 * far**3 - 2.25 * far**2 + 1
        return -0.75 * (far**3 - 5 * far**2 + 8 * far - 4) if far < 2 else 0.0

    shares = torch.zeros(new, old)
    for place in range(new):
        there = (place + 0.5) * old / new - 0.5
        for near in range(int(np.floor(there)) - 1, int(np.floor(there)) + 3):
            shares[place, min(max(near, 0), old - 1)] += weight(there - near)
    return shares


def placed(state: State, picture: Tensor, grid: int, patch: int) -> tuple[Tensor, list[tuple[float, float]]]:
    """The tokens of one picture (C, rows, columns) with their places, and where each lies, in patches of the grid."""
    kernel, bias = state["patch_embed.proj.weight"], state["patch_embed.proj.bias"]
    rows, columns = (side // patch for side in picture.shape[1:])
    first = 1 if "cls_token" in state else 0
    embedding = state["pos_embed"][0, first:].reshape(grid, grid, -1)
    embedding = torch.einsum("rg,ch,ghd->rcd", cubic(grid, rows), cubic(grid, columns), embedding)
    tokens = [state["cls_token"][0, 0] + state["pos_embed"][0, 0]] if first else []
    places = [(0.0, 0.0)] * first
    for row in range(rows):
        for column in range(columns):
            piece = picture[:, patch * row : patch * (row + 1), patch * column : patch * (column + 1)]
            tokens.append((kernel * piece).sum(dim=(1, 2, 3)) + bias + embedding[row, column])
            places.append((row * grid / rows, column * grid / columns))
    return torch.stack(tokens), places


def whirled(x: Tensor, places: list[tuple[float, float]]) -> Tensor:
    """(tokens, channels) as complex numbers, each turned by its wave at its row or its column."""
    count = x.shape[1] // 4
    waves = [10_000.0 ** (-k / count) for k in range(count)]
    angles = torch.tensor([[row * w for w in waves] + [column * w for w in waves] for row, column in places])
    whirling = torch.view_as_complex(x.reshape(len(x), -1, 2).contiguous()) * torch.exp(1j * angles)
    return torch.view_as_real(whirling).flatten(1)


def token_by_token(network: ViT, state: State, picture: Tensor) -> Tensor:
    """The last tokens of one picture (C, rows, columns) from the names of a state, head by head."""
    x, places = placed(state, picture, network.grid, network.patch)
    for block in range(network.depth):
        name, mixed = f"blocks.{block}", []
        heads = dense(state, f"{name}.attn.qkv", normed(state, f"{name}.norm1", x)).chunk(3, dim=1)
        for q, k, v in zip(*(part.chunk(network.heads, dim=1) for part in heads), strict=True):
            if network.rotary:
                q, k = whirled(q, places), whirled(k, places)
            mixed.append((q @ k.T / q.shape[1] ** 0.5).softmax(dim=1) @ v)
        y = dense(state, f"{name}.attn.proj", torch.cat(mixed, dim=1))
        x = x + y * state.get(f"{name}.ls1.gamma", torch.ones(()))
        y = dense(state, f"{name}.mlp.fc1", normed(state, f"{name}.norm2", x))
        if network.gated:
            gate, y = y.chunk(2, dim=1)
            y = gate * gate.sigmoid() * y
        else:
            y = functional.gelu(y)
        if network.norm_hidden:
            y = normed(state, f"{name}.mlp.norm", y)
        x = x + dense(state, f"{name}.mlp.fc2", y) * state.get(f"{name}.ls2.gamma", torch.ones(()))
    rows, columns = (side // network.patch for side in picture.shape[1:])
    tokens = normed(state, "norm", x)[1 if network.class_token else 0 :]
    return tokens.T.reshape(-1, rows, columns)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(12, 12), (20, 8), (4, 24)])
def test_tokens_one_by_one_give_the_same(kind: str, size: tuple[int, int]) -> None:
    """On the grid that the places are made for, and on larger, smaller and oblong ones."""
    network = tiny(**KINDS[kind])
    pictures = torch.randn(2, 3, *size)  # (rows, columns)
    state = dict(network.encoder.state_dict())
    with torch.no_grad():
        for picture, feature in zip(pictures, network.encoder(pictures.mT)[-1].mT, strict=True):
            torch.testing.assert_close(feature, token_by_token(network, state, picture), atol=1e-5, rtol=1e-5)


def test_places_of_the_own_grid_are_added_as_they_are() -> None:
    """Interpolation to the same size changes no bit."""
    places = torch.randn(1, 5, 7, 7)
    same = functional.interpolate(places, size=(7, 7), mode="bicubic", align_corners=False)
    assert torch.equal(same, places)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("size", "base"), [((64, 64), 64), ((96, 48), 64)])
@pytest.mark.parametrize("kind", ["ViT", "Dinov2"])
def test_transformers_network_gives_the_same(kind: str, size: tuple[int, int], base: int) -> None:
    """With random weights read by their names there, in 32 bits, tokens agree to 1e-5, at another size too."""
    transformers: Any = pytest.importorskip(
        "transformers", "5.24", reason="ViT is compared with transformers' where that is installed"
    )
    from modelsgenesis.weights.formats.vit import adapt

    settings = {"hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 2, "layer_norm_eps": 1e-6}
    more = {"intermediate_size": 512} if kind == "ViT" else {}
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(image_size=base, patch_size=16, **settings, **more)
    theirs = getattr(transformers, f"{kind}Model")(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    ours = adapt(theirs.state_dict()).network
    assert isinstance(ours, ViT)
    pictures = torch.randn(1, 3, *size)
    with torch.no_grad():
        tokens = ours.encoder(pictures.mT)[-1].mT.flatten(2).mT
        given = {"interpolate_pos_encoding": True} if kind == "ViT" else {}
        torch.testing.assert_close(tokens, theirs(pictures, **given).last_hidden_state[:, 1:], atol=1e-5, rtol=1e-5)


def test_published_size_has_the_published_number_of_parameters() -> None:
    """ViT-B/16 at 224 without its dense layer: 85.8 million; ViT-B/14 of DINOv2 at 518: 86.6."""
    for millions, settings in ((85.80, {}), (86.58, {"patch": 14, "grid": 37, "layer_scale": True})):
        with torch.device("meta"):  # takes no memory
            encoder = ViT(in_channels=3, **settings).encoder
        count = sum(parameter.numel() for parameter in encoder.parameters()) / 1e6
        assert count == pytest.approx(millions, abs=0.005)


def test_features_are_of_depths_at_equal_distances() -> None:
    """A third to a whole of twelve blocks; a shallower network gives what it has."""
    assert tiny(depth=12).encoder.taken == (3, 6, 9, 12)
    assert tiny(depth=2).encoder.taken == (1, 2)
    assert tiny(depth=2).channels[1:] == (16, 16)


def test_blocks_are_left_out_in_training_alone() -> None:
    """Stochastic depth draws anew at each pass in training, and blocks computed again give the same gradients."""
    x, gradients = torch.rand(2, 3, 12, 12), []
    network = tiny(drop_path=0.5).train()
    with torch.no_grad():
        assert not torch.equal(network.encode(x)[-1], network.encode(x)[-1])
        assert torch.equal(network.eval().encode(x)[-1], tiny().encode(x)[-1])
    for checkpointing in (False, True):
        network = tiny(drop_path=0.3, checkpointing=checkpointing, rotary=True).train()
        torch.manual_seed(1)
        network(x).square().mean().backward()
        gradients.append([parameter.grad for parameter in network.parameters()])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_what_makes_no_network_is_refused() -> None:
    """Volumes, no blocks, channels that heads do not divide, pictures that patches do not divide."""
    with pytest.raises(ShapeError, match="of two axes, got 3; take unet3d"):
        ViT(axes=3)
    with pytest.raises(ShapeError, match="must be 1 or more"):
        tiny(depth=0)
    with pytest.raises(ShapeError, match="16, must divide among the heads, 3"):
        tiny(heads=3)
    with pytest.raises(ShapeError, match="parts that 4 divides"):
        tiny(heads=8, rotary=True)
    with pytest.raises(ShapeError, match="divide by 4"):
        tiny()(torch.rand(1, 3, 12, 14))


def test_network_learns_an_outline() -> None:
    """Through the pyramid and UperNet it learns within 80 steps to tell a square from the ground beside it."""
    torch.manual_seed(0)
    network = ViT(embed=16, depth=4, heads=2, patch=8, grid=4, width=16, activation="identity")
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    image, mask = torch.rand(4, 1, 32, 32), torch.zeros(4, 1, 32, 32)
    for number in range(4):
        mask[number, :, 4 * number : 4 * number + 14, 6:19] = 1
    losses = []
    for _ in range(80):
        loss = functional.binary_cross_entropy_with_logits(network(image + mask), mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
