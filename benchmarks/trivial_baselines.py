"""What trivial models tell of pictures: a logistic regression on 32 x 32 pixels, and one on their proportions alone.

    python benchmarks/trivial_baselines.py BENCHMARK

BENCHMARK is the folder of a `genesis benchmark` of two classes of pictures. Each of its runs from scratch is repeated
with both models, on the same training and test cases. It prints rows of runs.csv (task, arm, cases, seed, metric,
value), the metric being the area under the ROC curve. Needs scikit-learn.
"""

import csv
import sys
import warnings
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

PENALTIES = np.logspace(-4, 2, 13)  # C of scikit-learn; cross-validation on the training cases chooses


def features(path: str) -> tuple[np.ndarray, np.ndarray]:
    """The picture's pixels, shrunk to 32 x 32 in [0, 1], and its width by height.

    Args:
        path: of a picture.
    """
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("L").resize((32, 32), Image.Resampling.BOX), dtype=float) / 255
        return pixels.ravel(), np.array([picture.width / picture.height])


def auc(train: np.ndarray, train_is: np.ndarray, test: np.ndarray, test_is: np.ndarray) -> float:
    """Area under the ROC curve of a logistic regression, its penalty chosen by cross-validation.

    Args:
        train: features, (cases, features).
        train_is: whether each is of the second class.
        test: features.
        test_is: likewise.
    """
    folds = min(5, np.bincount(train_is.astype(int)).min())
    if folds < 2 or np.ptp(train, axis=0).max() == 0:
        return float("nan")  # one case of a class, or nothing that differs
    split = StratifiedKFold(folds, shuffle=True, random_state=0)
    fitted = make_pipeline(
        StandardScaler(),
        LogisticRegressionCV(
            Cs=PENALTIES, cv=split, scoring="neg_log_loss", max_iter=2000, use_legacy_attributes=False
        ),
    ).fit(train, train_is)
    return float(roc_auc_score(test_is, fitted.predict_proba(test)[:, 1]))


def main(folder: Path) -> None:
    """Print the rows of a benchmark's folder.

    Args:
        folder: of the benchmark.
    """
    warnings.filterwarnings("ignore", category=FutureWarning)
    with (folder / "runs.csv").open(encoding="utf-8") as table:
        done = [row for row in csv.DictReader(table) if row["arm"] == "scratch"]
    read: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    print("task,arm,cases,seed,metric,value")
    for row in done:
        runs = folder / "runs" / "scratch"
        place = runs / f"cases-{row['cases']}" if (runs / f"cases-{row['cases']}").is_dir() else runs / "cases-all"
        with (place / f"seed-{row['seed']}" / "run" / "cases.csv").open(encoding="utf-8") as table:
            cases = [case for case in csv.DictReader(table) if case["role"] in ("train", "test")]
        second = sorted({case["label"] for case in cases})[1]
        for case in cases:
            read[case["image"]] = read.get(case["image"]) or features(case["image"])
        for kind, name in enumerate(("pixels", "proportions")):
            parts = []
            for role in ("train", "test"):
                some = [case for case in cases if case["role"] == role]
                parts += [np.stack([read[case["image"]][kind] for case in some])]
                parts += [np.array([case["label"] == second for case in some])]
            print(f"{row['task']},{name},{row['cases']},{row['seed']},auc,{auc(*parts):.6g}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
