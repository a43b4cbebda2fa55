"""The model card of an export: what the network is, where it comes from, what it may be used for."""

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from modelsgenesis.core.errors import GenesisError
from modelsgenesis.core.files import sha256
from modelsgenesis.core.learner import Learner
from modelsgenesis.core.naming import find_class, members
from modelsgenesis.core.provenance import CommandLine, Provenance, lineage, package_version
from modelsgenesis.core.target import Target
from modelsgenesis.core.words import many, nouns
from modelsgenesis.data.images import Reading
from modelsgenesis.data.intensity import Window, intensity_in_words
from modelsgenesis.data.store.store import Store
from modelsgenesis.finetuning.initialization import SCRATCH
from modelsgenesis.nets.base.flat_on_volumes import FlatOnVolumes
from modelsgenesis.weights.exporters import Given
from modelsgenesis.weights.registry import ENTRIES, Entry

FREE = {"Apache-2.0": "apache-2.0", "MIT": "mit", "CC BY 4.0": "cc-by-4.0"}  # as Hugging Face calls them
HUB_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")  # of a licence on Hugging Face, such as cc-by-4.0
FEW_CASES = 30
CITATIONS = (
    "Zhou et al., Models Genesis, Medical Image Analysis 67:101840, 2021, doi:10.1016/j.media.2020.101840",
    "Zhou et al., Models Genesis: Generic Autodidactic Models for 3D Medical Image Analysis, MICCAI 2019",
)
UNKNOWN = "Not known here: add it before you share the weights."
NO_LICENCE = "Not stated. A network carries the licences of the {}s it learned from; find them out before you share it."


@dataclass(frozen=True)
class ModelCard:
    """The content of a model card.

    Args:
        given: the network, and what its file says.
        source: the run or file that it was exported from.
        to: the format.
        usage: how to load what was written, in Markdown.
        command: What spells the command that made a folder.
        licence: of the weights, as their owner says.
        data: what their owner says of the scans.
    """

    given: Given
    source: Path
    to: str
    usage: str
    command: CommandLine
    licence: str | None = None
    data: str | None = None

    def text(self) -> str:
        """Write the card in Markdown with Hugging Face's front matter."""
        chain = lineage(self.source if self.source.is_dir() else self.source.parent)
        origins = origins_of(self.given, self.source, chain)
        sections = {
            "What it is": self._what(),
            "How to load it": self.usage.strip("\n"),
            "Where it comes from": self._lineage(chain, origins),
            "Data": self._data(chain, origins),
            "How it was trained": self._recipe(),
            "Figures": self._figures(),
            "Limits": self._limits(),
            "Licence": self._licence(origins),
            "Citation": bullets(dict.fromkeys([*self._papers(), *(entry.citation for entry in origins)])),
        }
        body = "\n\n".join(f"## {heading}\n\n{text}" for heading, text in sections.items())
        made = f"Made by `genesis export`, modelsgenesis {package_version()}."
        return f"{self._front_matter(origins)}\n# {self._title()}\n\n{body}\n\n{made}\n"

    def _title(self) -> str:
        notes, target = self.given.notes, self.given.target
        if target is not None:
            return f"{notes.get('task') or 'A task'}: {target.kind} by {type(self.given.network).__name__}"
        recipe = notes.get("recipe", {}).get("name")
        return f"Models Genesis, pre-trained{f' by the recipe {recipe}' if recipe else ''}"

    def _front_matter(self, origins: list[Entry]) -> str:
        target = self.given.target
        tags = ["medical-imaging", "self-supervised-learning", "models-genesis", f"{self.given.network.axes}d", self.to]
        lines = [*self._licence_lines(origins), "library_name: modelsgenesis"]
        pipeline = target.pipeline if target else "image-feature-extraction"
        lines += [f"pipeline_tag: {pipeline}"] if pipeline else []
        return "\n".join(["---", *lines, "tags:", *(f"- {tag}" for tag in tags), "---", ""])

    def _licence_lines(self, origins: list[Entry]) -> list[str]:
        """Name the licence: that of published weights among the origins, or else the one given."""
        for entry in origins:
            if entry.licence.name not in FREE:
                return [
                    "license: other",
                    f"license_name: {json.dumps(entry.licence.name)}",
                    f"license_link: {entry.licence.url}",
                ]
        if self.licence is not None:
            slug = self.licence.lower()
            named = FREE.get(self.licence, slug if HUB_NAME.fullmatch(slug) else None)
            return [f"license: {named}"] if named else ["license: other", f"license_name: {json.dumps(self.licence)}"]
        return ["license: unknown"]

    def _what(self) -> str:
        network, target = self.given.network, self.given.target
        count = sum(parameter.numel() for parameter in network.parameters())
        axes = ", ".join("XYZ"[: network.axes])
        backbone = self.given.backbone
        flat = backbone.in_words() if isinstance(backbone, FlatOnVolumes) else ""
        kind = flat or f"{network.axes}D {type(network).__name__}"
        lying = "axes in LPS" if network.axes == 3 else "X along the rows and Y down the columns, as the file is shown"
        lines = [
            f"A {kind} of {count:,} parameters. "
            f"It takes float32 (B, {network.in_channels}, {axes}) in [0, 1], {lying}; every side must divide by "
            f"{' x '.join(map(str, network.stride))}.",
            self._predicts(target),
        ]
        if (patch := self.given.patch) is not None:
            said, reading = nouns(len(patch)), self.given.reading
            seen = said.scan if reading and reading.fit else said.cube
            lines.append(f"It was trained on {seen}s of {' x '.join(map(str, patch))} {said.voxel}s.")
        if (reading := self.given.reading) is not None:
            lines.append(reading_in_words(reading))
        return "\n\n".join(lines)

    def _predicts(self, target: Target | None) -> str:
        if heads := self.given.notes.get("targets"):
            return (
                f"It was pre-trained on the labels of {many(len(heads), 'set')}, each with a head of its own: "
                f"{', '.join(heads)}. Its encoder starts a task that has few labels; "
                "`genesis predict --head` takes a head."
            )
        if target is None:
            aim = f", to {self._method.aim}," if self._method else ""
            return (
                f"It was pre-trained without labels{aim} and starts a task that has few labels. "
                "Its encoder gives features, finest first; by itself it makes no diagnosis."
            )
        return target.outputs_in_words

    @property
    def _method(self) -> type[Learner] | None:
        """The method it was pre-trained by, where it is one of ours; a file must not have other modules imported."""
        method = str(self.given.notes.get("recipe", {}).get("method", "")).replace("-", "_")
        return find_class("methods", method, Learner) if method in members("methods") else None

    def _papers(self) -> list[str]:
        """What is cited: the method's own paper first, if it is another's."""
        return [*([self._method.paper] if self._method and self._method.paper else []), *CITATIONS]

    def _lineage(self, chain: list[tuple[str, Provenance]], origins: list[Entry]) -> str:
        lines = [f"- began with {entry.title} ({entry.name}): {entry.licence.name}" for entry in origins]
        if (start := self.given.notes.get("from")) and not origins:
            lines.append(f"- began with {'random weights' if start == SCRATCH else Path(str(start)).name}")
        if chain:
            versions = ", ".join(sorted({made.version for _, made in chain}))
            commands = "\n".join(f"    {anonymous(folder, made, self.command)}" for folder, made in reversed(chain))
            lines.append(f"\nMade with modelsgenesis {versions} by\n\n{commands}")
        return "\n".join(lines).strip() or f"From a file of the format {self.given.format}; nothing else is known."

    def _data(self, chain: list[tuple[str, Provenance]], origins: list[Entry]) -> str:
        lines, said = [self.data] if self.data else [], nouns(self.given.network.axes)
        lines += [f"{entry.title}: {entry.data}." for entry in origins]
        cases = self.given.notes.get("cases")
        if cases:
            lines.append(f"Labelled cases: {cases.get('train')} to learn from, {cases.get('val')} to choose by.")
        lines += [scans_in_words(Path(folder)) for folder, made in chain if made.verb == "prepare"]
        if not self.data and not origins:
            lines.append(f"Names and licences of the {said.scan}s: {UNKNOWN[0].lower()}{UNKNOWN[1:]}")
        return "\n\n".join(line for line in lines if line)

    def _recipe(self) -> str:
        notes = self.given.notes
        how = notes.get("recipe") or notes.get("approach")
        if not how:
            return UNKNOWN
        plan = how.get("plan", {})
        wanted = ("steps", "batch_size", "optimizer", "lr", "weight_decay", "schedule", "precision")
        rows = {name.replace("_", " "): plan.get(name) for name in wanted}
        rows |= {"seed": notes.get("seed"), "step of these weights": notes.get("step")}
        return f"{table(rows)}\n\nAll of it is data in the weights' header, and in `config.json` where there is one."

    def _figures(self) -> str:
        figures = {name: f"{value:.4g}" for name, value in self.given.notes.get("figures", {}).items()}
        if not figures:
            return "None: nothing was held out to validate on."
        return f"{table(figures)}\n\nOf held-out cases that also chose these weights, hence a little too good."

    def _limits(self) -> str:
        lines = ["- A work of research, no medical device; it must not decide about patients."]
        target, cases = self.given.target, self.given.notes.get("cases") or {}
        if target is None:
            lines.append("- It has to be fine-tuned before it is of use, and tested on the task's own data.")
        elif (count := int(cases.get("train") or 0)) and count < FEW_CASES:
            lines.append(
                f"- It was trained on {many(count, 'labelled case')}; expect failures on what differs from them."
            )
        if (reading := self.given.reading) is not None:
            kind = (
                "CT in Hounsfield units"
                if isinstance(reading.intensity, Window)
                else f"{nouns(self.given.network.axes).scan}s of the kind it learned"
            )
            lines.append(f"- It reads {kind}; other scanners, protocols and populations were not tested.")
        return "\n".join(lines)

    def _licence(self, origins: list[Entry]) -> str:
        lines = [
            f"{entry.title}: {entry.licence.name}. {entry.licence.allows} {entry.licence.url}" for entry in origins
        ]
        if origins:
            lines.insert(0, "These weights derive from weights of others, whose licences bind:")
        unstated = NO_LICENCE.format(nouns(self.given.network.axes).scan)
        lines.append(self.licence or ("" if origins else unstated))
        return "\n\n".join(line for line in lines if line)


def origins_of(given: Given, source: Path, chain: list[tuple[str, Provenance]]) -> list[Entry]:
    """Published weights that these derive from, found by their bytes or by their file's name.

    Args:
        given: the network and its notes.
        source: run or file.
        chain: the lineage, nearest first.
    """
    inputs = [pair for _, made in chain for pair in made.inputs.items()]
    if source.is_file():
        inputs.append((str(source), sha256(source)))
    if start := given.notes.get("from"):
        inputs.append((str(start), ""))
    found = [entry for entry in ENTRIES if any(_is_of(entry, Path(path), digest) for path, digest in inputs)]
    return list({entry.sha256 or entry.name: entry for entry in reversed(found)}.values())[::-1]  # copies count once


def _is_of(entry: Entry, path: Path, digest: str) -> bool:
    if digest and entry.sha256:
        return digest == entry.sha256
    published = PurePosixPath(urlsplit(entry.url).path).name
    return path.name in {entry.file, published} - {""} or str(path) == entry.name


def anonymous(folder: str, made: Provenance, command: CommandLine) -> str:
    """The command that made a folder, paths cut to their last part: where files lie concerns nobody else."""
    try:
        line = command(folder, made)
    except (GenesisError, ImportError, AttributeError):  # a verb or recipe of another version
        return f"genesis {made.verb}"
    return shlex.join(PurePosixPath(word).name if "/" in word else word for word in shlex.split(line))


def scans_in_words(folder: Path) -> str:
    """Describe how many scans and patients a store holds, and of which kind."""
    try:
        scans = Store.open(folder).scans
    except GenesisError:
        return ""
    counted: Counter[str] = Counter()
    for scan in scans:
        counted["of unknown modality" if scan.modality == "unknown" else scan.modality] += scan.num_images
    kinds = ", ".join(f"{count} {kind}" for kind, count in counted.items())
    patients = len({scan.patient for scan in scans})
    what = nouns(len(scans[0].size)).scan.capitalize()
    return f"{what}s without labels: {counted.total()} of {patients} patients ({kinds})."


def reading_in_words(reading: Reading) -> str:
    """Describe how a scan becomes what the network sees."""
    spacing = reading.spacing_mm
    grid = f"scans are resampled to {' x '.join(f'{step:g}' for step in spacing)} mm" if spacing else "no resampling"
    if reading.fit:
        grid = f"shrunk or enlarged to fit into {' x '.join(map(str, reading.fit))}"
    return f"Reading: {intensity_in_words(reading.intensity)}; {grid}."


def bullets(lines: Iterable[str]) -> str:
    """Write a list in Markdown."""
    return "\n".join(f"- {line}" for line in lines)


def table(rows: dict[str, Any]) -> str:
    """Write rows as a Markdown table, without those that have no value."""
    lines = [f"| {name} | {value} |" for name, value in rows.items() if value is not None]
    return "\n".join(["| | |", "|---|---|", *lines])
