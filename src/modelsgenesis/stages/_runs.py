"""What the folders of runs have in common: settings beside the weights, by which a run is known again."""

from pathlib import Path
from typing import Any

from modelsgenesis.core.errors import TrainingError
from modelsgenesis.core.files import read_json, write_json
from modelsgenesis.core.made import FILE as CERTIFICATE
from modelsgenesis.core.made import read_certificate
from modelsgenesis.training.state import FILE as RESUME

SETTINGS = "recipe.json"
FROM = "from"  # the source's path beside the settings; a run may go on after the source was moved


def remember(into: Path, settings: dict[str, Any], source: Path) -> None:
    """Write down what decides a run's weights, before it starts."""
    write_json(into / SETTINGS, {**settings, FROM: str(source)})


def is_done(into: Path, verb: str, settings: dict[str, Any]) -> bool:
    """Whether the folder holds this very run, finished.

    Args:
        into: the run's folder.
        verb: of the stage that makes such runs.
        settings: all that decides the weights.
    Raises:
        TrainingError: it holds a run with other settings.
        DataError: another stage made it.
    """
    if (into / CERTIFICATE).exists():
        read_certificate(into, verb)
    if not (into / RESUME).is_file():
        return False
    there, asked = flat(read_json(into / SETTINGS)), flat(settings)
    there.pop(FROM, None)
    differing = [name for name in sorted({*there, *asked}) if there.get(name) != asked.get(name)]
    if differing:
        changes = "; ".join(f"{name} is {there.get(name)} there, {asked.get(name)} now" for name in differing[:5])
        raise TrainingError(f"{into} holds a run with other settings: {changes}. Use those, or another folder")
    return (into / CERTIFICATE).is_file()


def flat(data: Any, name: str = "") -> dict[str, Any]:
    """Nested settings as {"recipe.plan.lr": 0.001}."""
    if not isinstance(data, dict):
        return {name: data}
    result: dict[str, Any] = {}
    for key, value in data.items():
        result |= flat(value, f"{name}.{key}" if name else str(key))
    return result
