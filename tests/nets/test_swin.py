"""A Swin Transformer computes what the published one does, at any size whose windows divide, and its decoder learns."""

from itertools import pairwise, product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from modelsgenesis.core.errors import ShapeError
from modelsgenesis.nets.swin import Swin
from modelsgenesis.nets.upernet import UperNet, pooled_to

State = dict[str, Tensor]
SWIN_B: dict[str, Any] = {"embed": 128, "depths": (2, 2, 18, 2), "heads": (4, 8, 16, 32), "window": 7}
SWIN_L: dict[str, Any] = {"embed": 192, "depths": (2, 2, 18, 2), "heads": (6, 12, 24, 48), "window": 12}


def tiny(**changed: Any) -> Swin:
    """Two stages, four blocks, its biases and norms not at their plain beginnings."""
    torch.manual_seed(0)
    network = Swin(**{"embed": 8, "depths": (2, 2), "heads": (2, 4), "window": 3, "width": 8, **changed})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def segments(side: int, window: int, shift: int) -> list[range]:
    """Where the windows of a shifted block begin and end along one axis, those at the borders cut off."""
    cuts = sorted({0, *range(shift, side, window), side})
    return [range(*cut) for cut in pairwise(cuts)]


def attended(state: State, name: str, tokens: Tensor, places: list[tuple[int, int]], heads: int) -> Tensor:
    """Attention of the tokens of one window, (tokens, dim), at their places in the picture."""
    table = state[f"{name}.relative_position_bias_table"]
    window = (round(len(table) ** 0.5) + 1) // 2
    bias = torch.stack(
        [
            torch.stack([table[(r - s + window - 1) * (2 * window - 1) + c - d + window - 1] for s, d in places])
            for r, c in places
        ]
    )
    q, k, v = functional.linear(tokens, state[f"{name}.qkv.weight"], state[f"{name}.qkv.bias"]).chunk(3, dim=1)
    mixed = []
    for head, (a, b, c) in enumerate(
        zip(q.chunk(heads, dim=1), k.chunk(heads, dim=1), v.chunk(heads, dim=1), strict=True)
    ):
        mixed.append((a @ b.T / a.shape[1] ** 0.5 + bias[..., head]).softmax(dim=1) @ c)
    return functional.linear(torch.cat(mixed, dim=1), state[f"{name}.proj.weight"], state[f"{name}.proj.bias"])


def normed(state: State, name: str, x: Tensor) -> Tensor:
    """A layer norm over the last axis."""
    return functional.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-5)


def window_by_window(state: State, picture: Tensor, depths: tuple[int, ...], window: int) -> Tensor:
    """The last tokens of one picture (C, rows, columns), in loops over windows: none rolled, none masked."""
    x = functional.conv2d(picture, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=4)
    x = normed(state, "patch_embed.norm", x.permute(1, 2, 0))  # (rows, columns, dim)
    for stage, depth in enumerate(depths):
        for block in range(depth):
            name = f"layers.{stage}.blocks.{block}"
            rows, columns = x.shape[:2]
            heads = state[f"{name}.attn.relative_position_bias_table"].shape[1]
            shift = window // 2 if block % 2 and min(rows, columns) > window else 0
            y, mixed = normed(state, f"{name}.norm1", x), torch.zeros_like(x)
            cut = [segments(side, window, shift) for side in (rows, columns)]
            for down, right in product(*cut):
                places = list(product(down, right))
                tokens = torch.stack([y[place] for place in places])
                for place, token in zip(places, attended(state, f"{name}.attn", tokens, places, heads), strict=True):
                    mixed[place] = token
            x = x + mixed
            y = normed(state, f"{name}.norm2", x)
            y = functional.gelu(functional.linear(y, state[f"{name}.mlp.fc1.weight"], state[f"{name}.mlp.fc1.bias"]))
            x = x + functional.linear(y, state[f"{name}.mlp.fc2.weight"], state[f"{name}.mlp.fc2.bias"])
        if stage < len(depths) - 1:
            name = f"layers.{stage}.downsample"
            x = torch.cat([x[0::2, 0::2], x[1::2, 0::2], x[0::2, 1::2], x[1::2, 1::2]], dim=2)
            x = functional.linear(normed(state, f"{name}.norm", x), state[f"{name}.reduction.weight"])
    return normed(state, "norm", x)


@pytest.mark.parametrize(
    ("window", "size"),
    [(3, (24, 24)), (3, (72, 48)), (3, (8, 24)), (3, (8, 8)), (4, (16, 16)), (4, (32, 16)), (4, (64, 32))],
)
def test_windows_one_by_one_give_the_same(window: int, size: tuple[int, int]) -> None:
    """Shifted windows, borders, oblong pictures and stages smaller than a window: the rolled batch equals the loop."""
    network = tiny(in_channels=3, window=window).eval()
    pictures = torch.randn(2, 3, *size)  # (rows, columns)
    with torch.no_grad():
        ours = network.encoder(pictures.mT)[-1].mT  # back to (B, dim, rows, columns)
        for picture, feature in zip(pictures, ours, strict=True):
            state = dict(network.encoder.state_dict())
            expected = window_by_window(state, picture, network.depths, window).permute(2, 0, 1)
            torch.testing.assert_close(feature, expected, atol=1e-5, rtol=1e-5)


def remapped(state: State) -> State:
    """The tensors of transformers' Swin under the published names."""
    pairs = {
        "embeddings.patch_embeddings.projection": "patch_embed.proj",
        "embeddings.norm": "patch_embed.norm",
        "encoder.layers": "layers",
        "layernorm_before": "norm1",
        "layernorm_after": "norm2",
        "attention.relative_position_bias.relative_position_bias_table": "attn.relative_position_bias_table",
        "attention.o_proj": "attn.proj",
        "attention.self.logit_scale": "attn.logit_scale",
        "attention.self.continuous_position_bias_mlp": "attn.cpb_mlp",
        "attention.self.query.bias": "attn.q_bias",
        "attention.self.value.bias": "attn.v_bias",
        "attention.self.query.weight": "attention.q_proj.weight",
        "attention.self.key.weight": "attention.k_proj.weight",
        "attention.self.value.weight": "attention.v_proj.weight",
        "attention.output.dense": "attn.proj",
        "intermediate.dense": "mlp.fc1",
        "output.dense": "mlp.fc2",
        "layernorm.": "norm.",
    }
    renamed: State = {}
    for name, tensor in state.items():
        for theirs, ours in pairs.items():
            name = name.replace(theirs, ours)
        renamed[name] = tensor
    for name in [name for name in renamed if "attention.q_proj" in name]:
        parts = [renamed.pop(name.replace("q_proj", f"{letter}_proj")) for letter in "qkv"]
        renamed[name.replace("attention.q_proj", "attn.qkv")] = torch.cat(parts)
    return {name: tensor for name, tensor in renamed.items() if "relative_position_index" not in name}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("size", "window"), [(224, 7), (448, 14)])
def test_transformers_network_gives_the_same(size: int, window: int) -> None:
    """With random weights under the published names, in 32 bits, tokens agree to 1e-5."""
    transformers: Any = pytest.importorskip(
        "transformers", "5.24", reason="Swin is compared with transformers' where that is installed"
    )
    settings = {"embed_dim": 32, "depths": [2, 2, 2, 2], "num_heads": [1, 2, 4, 8], "window_size": window}
    torch.manual_seed(0)
    config = transformers.SwinConfig(image_size=size, drop_path_rate=0.0, layer_norm_eps=1e-5, **settings)
    theirs = transformers.SwinModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    ours = Swin(in_channels=3, embed=32, depths=(2, 2, 2, 2), heads=(1, 2, 4, 8), window=window).eval()
    ours.encoder.load_state_dict(remapped(theirs.state_dict()))
    pictures = torch.randn(1, 3, size, size)
    with torch.no_grad():
        tokens = ours.encoder(pictures.mT)[-1].mT.flatten(2).mT  # (B, rows * columns, dim)
        torch.testing.assert_close(tokens, theirs(pictures).last_hidden_state, atol=1e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("size", "window"), [(256, 8), (512, 16), (64, 16)])
def test_transformers_second_version_gives_the_same(size: int, window: int) -> None:
    """With random weights under the published names, in 32 bits; a stage smaller than a window is one of its own."""
    transformers: Any = pytest.importorskip(
        "transformers", "5.24", reason="SwinV2 is compared with transformers' where that is installed"
    )
    settings = {"embed_dim": 16, "depths": [2, 1, 2], "num_heads": [1, 2, 4], "window_size": window}
    torch.manual_seed(0)
    config = transformers.Swinv2Config(image_size=size, drop_path_rate=0.0, layer_norm_eps=1e-5, **settings)
    theirs = transformers.Swinv2Model(config, add_pooling_layer=False).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    network = Swin(in_channels=3, embed=16, depths=(2, 1, 2), heads=(1, 2, 4), window=window, version=2).eval()
    network.encoder.load_state_dict(remapped(theirs.state_dict()))
    pictures = torch.randn(1, 3, size, size)
    with torch.no_grad():
        tokens = network.encoder(pictures.mT)[-1].mT.flatten(2).mT  # (B, rows * columns, dim)
        torch.testing.assert_close(tokens, theirs(pictures).last_hidden_state, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("settings", "millions"), [(SWIN_B, 86.74), (SWIN_L, 195.2)])
def test_published_sizes_have_the_published_numbers_of_parameters(settings: dict[str, Any], millions: float) -> None:
    """Swin-B with windows of 7, Swin-L with windows of 12: the encoders, in millions."""
    with torch.device("meta"):  # takes no memory
        encoder = Swin(in_channels=3, **settings).encoder
    count = sum(parameter.numel() for parameter in encoder.parameters()) / 1e6
    assert count == pytest.approx(millions, abs=0.005 if millions < 100 else 0.05)


def test_blocks_are_left_out_in_training_alone() -> None:
    """Stochastic depth draws anew at each pass in training; in evaluation it is as if there were none."""
    network, plain = tiny(drop_path=0.5), tiny()
    x = torch.rand(4, 1, 24, 24)
    with torch.no_grad():
        assert not torch.equal(network.encode(x)[-1], network.encode(x)[-1])
        assert torch.equal(network.eval().encode(x)[-1], plain.eval().encode(x)[-1])


def test_blocks_computed_again_give_the_same_gradients() -> None:
    """Checkpointing saves memory and changes nothing, blocks that are left out at random included."""
    x, gradients = torch.rand(2, 1, 24, 24), []
    for checkpointing in (False, True):
        network = tiny(drop_path=0.3, checkpointing=checkpointing)
        torch.manual_seed(1)
        network(x).square().mean().backward()
        gradients.append({name: parameter.grad for name, parameter in network.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


def test_what_makes_no_network_is_refused() -> None:
    """Volumes, stages without heads, channels that heads do not divide, windows that do not divide a picture."""
    with pytest.raises(ShapeError, match="of two axes, got 3; take unet3d"):
        Swin(axes=3)
    with pytest.raises(ShapeError, match="every stage needs blocks and heads"):
        Swin(embed=8, depths=(2, 2), heads=(2,))
    with pytest.raises(ShapeError, match=r"must divide by \(3, 2\)"):
        Swin(embed=8, depths=(1, 1), heads=(3, 2))
    network = tiny()
    for side in (24, 48, 8):
        network.check((1, 1, side, side))
    for side in (32, 16, 28, 12):  # 8 and 4 tokens are no windows of 3; 7 and 3 cannot be halved
        with pytest.raises(ShapeError, match="divide by 24"):
            network.check((1, 1, side, side))
    with pytest.raises(ShapeError, match=r"takes \(B, 1, X, Y\), got"):
        network.check((1, 3, 24, 24))


def test_decoder_gives_the_size_of_the_image() -> None:
    """UperNet fuses features of falling sizes, odd ones included, to its channels at the size of the finest."""
    decoder = UperNet(1, (8, 16, 32), width=8)
    sizes = ((40, 24), (10, 6), (5, 3), (3, 2))
    features = [torch.rand(2, some, *size) for some, size in zip((16, 8, 16, 32), sizes, strict=True)]
    assert decoder(features).shape == (2, decoder.finest_channels, 40, 24)


@pytest.mark.parametrize("side", [1, 2, 3, 6])
def test_pooling_is_the_usual_one(side: int) -> None:
    """Sides that divide and that do not, longer and shorter than the areas are many."""
    for size in ((6, 12), (7, 5), (2, 14), (1, 1)):
        x = torch.randn(2, 3, *size)
        torch.testing.assert_close(pooled_to(x, side), functional.adaptive_avg_pool2d(x, side))


def test_network_learns_an_outline() -> None:
    """Through UperNet it learns within 80 steps to tell a square from the ground beside it."""
    torch.manual_seed(0)
    network = Swin(embed=16, depths=(1, 1), heads=(2, 4), window=2, width=16, activation="identity")
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
